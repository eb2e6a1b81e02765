"""The pages that show queues, failures and channels."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from domainstream.queue.bullmq.inspection import JobState
from domainstream.tools.check.sensitive import sensitive_names
from domainstream.tools.dashboard.facts import HELD_LIMIT, Facts, Totals
from domainstream.tools.dashboard.failures import FailureSamples
from domainstream.tools.dashboard.masking import shown_data
from domainstream.tools.dashboard.rendering import page
from domainstream.tools.failures import job_record, message_of
from domainstream.tools.traces import own_frames

ROWS: Final = 50
"""How many rows a page of a long table has."""

LATEST: Final = 10
"""How many of the newest entries of a channel are listed."""

PATIENCE: Final = 1.0
"""Seconds that the overview waits for what takes longer if the database has millions of keys."""

FINDINGS: Final = 20
"""How many problems, and how many warnings, the overview lists."""

AGAIN: Final = 2
"""Seconds until a browser asks for that page again."""

SEVERITIES: Final = ("problem", "warning", "ok")

STATES: Final = {
    "failed": ("failed",),
    "delayed": ("delayed",),
    "active": ("active",),
    "waiting": ("wait", "paused", "prioritized", "waiting-children"),
    "completed": ("completed",),
}
"""BullMQ's states, by the words of the page of a queue."""


class Pages:
    """The pages of what is there now. Each is a method that answers a request."""

    def __init__(self, facts: Facts, samples: FailureSamples) -> None:
        """Show `facts` and the failures in `samples`."""
        self._facts = facts
        self._samples = samples

    async def overview(self, request: Request) -> Response:
        """Show what the doctor finds, and how much there is."""
        findings, queues, channels = await asyncio.gather(
            self._facts.findings.within(PATIENCE),
            self._facts.queues.within(PATIENCE),
            self._facts.channels.within(PATIENCE),
        )
        context = {
            "findings": {status: [one for one in findings or () if one.status == status] for status in SEVERITIES},
            "listed": FINDINGS,
            "is_looking": findings is None,
            "age_ms": self._facts.findings.age_ms,
            "queues": queues,
            "channels": channels,
            "totals": None if queues is None or channels is None else Totals.of(queues, channels),
        }
        response = page(request, "overview.html", context)
        if findings is None or context["totals"] is None:
            response.headers["refresh"] = str(AGAIN)
        return response

    async def queues(self, request: Request) -> Response:
        """List the queues with their jobs by state."""
        return page(request, "queues.html", {"queues": await self._facts.queues.get()})

    async def queue(self, request: Request) -> Response:
        """Show a queue: its states, the keys that are held, and a page of its jobs."""
        name = request.path_params["queue"]
        queue = await self._facts.queue(name)
        if queue is None:
            raise HTTPException(404, f"There is no queue {name}.")
        shown, number = request.query_params.get("state", "failed"), page_number(request)
        states = STATES.get(shown, STATES["failed"])
        jobs = [job for state in states for job in await self._jobs_in(name, state, number)]
        context = {
            "queue": queue,
            "held": await self._facts.held_keys(name) if queue.order else [],
            "held_limit": HELD_LIMIT,
            "sample": self._facts.settings.sample,
            "states": list(STATES),
            "shown": shown if shown in STATES else "failed",
            "jobs": [job_record(job) for job in jobs],
            "page_number": number,
            "has_more": len(jobs) >= ROWS,
            "now": await self._facts.now_ms(),
        }
        return page(request, "queue.html", context)

    async def failures(self, request: Request) -> Response:
        """Show the causes of failed jobs, the most frequent first."""
        samples = await self._samples.all()
        groups = sorted(
            ((sample, group) for sample in samples for group in sample.groups),
            key=lambda pair: pair[1].cause.jobs,
            reverse=True,
        )
        now = await self._facts.now_ms()
        first = min((group.cause.first_ms for _, group in groups), default=now)
        context = {"samples": samples, "groups": groups, "now": now, "first": first}
        return page(request, "failures.html", context)

    async def failure_group(self, request: Request) -> Response:
        """Show the jobs that failed for one reason."""
        queue = request.path_params["queue"]
        known = queue in (await self._facts.names.get()).queues
        sample = await self._samples.of(queue) if known else None
        group = sample.group(request.path_params["group"]) if sample else None
        if sample is None or group is None:
            raise HTTPException(404, f"None of the newest failed jobs of {queue} failed for this reason any more.")
        number = page_number(request)
        jobs = group.jobs[(number - 1) * ROWS : number * ROWS]
        context = {
            "sample": sample,
            "group": group,
            "jobs": jobs,
            "page_number": number,
            "has_more": len(group.jobs) > number * ROWS,
            "now": await self._facts.now_ms(),
        }
        return page(request, "failure_group.html", context)

    async def job(self, request: Request) -> Response:
        """Show a job with its failures and its payload."""
        queue, job_id = request.path_params["queue"], request.path_params["job_id"]
        known = queue in (await self._facts.names.get()).queues
        job = await self._facts.jobs.job(queue, job_id) if known else None
        if job is None:
            raise HTTPException(404, f"{queue} has no job {job_id} any more, or never had one.")
        return page(request, "job.html", await self._job_context(job))

    async def channels(self, request: Request) -> Response:
        """List the channels with their groups and dead letters."""
        return page(request, "channels.html", {"channels": await self._facts.channels.get()})

    async def channel(self, request: Request) -> Response:
        """Show a channel: who reads it, its newest entries and its dead letters."""
        name = request.path_params["channel"]
        channel = await self._facts.channel(name)
        if channel is None:
            raise HTTPException(404, f"There is no channel {name}.")
        streams, groups = self._facts.server.streams, self._facts.server.groups
        latest = await streams.latest(name, LATEST) if channel.stream else []
        context = {
            "channel": channel,
            "consumers": await groups.consumers(name) if channel.stream else [],
            "latest": [(one, message_of(one)) for one in reversed(latest)],
            "letters": await self._facts.dead_letters(name, ROWS) if channel.dead else [],
            "data": await self._masked_data(),
        }
        return page(request, "channel.html", context)

    async def dead_letter(self, request: Request) -> Response:
        """Show a dead letter with its cause and its data."""
        channel, letter_id = request.path_params["channel"], request.path_params["letter_id"]
        known = channel in (await self._facts.names.get()).dead and letter_id.replace("-", "", 1).isdecimal()
        stored = await self._facts.server.dead_letters.dead_letter(channel, letter_id) if known else None
        if stored is None:
            raise HTTPException(404, f"{channel} has no dead letter {letter_id} any more, or never had one.")
        context = {
            "channel": channel,
            "stored": stored,
            "data": (await self._masked_data())(stored.dead_letter.delivery.data),
        }
        return page(request, "dead_letter.html", context)

    async def _jobs_in(self, queue: str, state: str, number: int) -> list[JobState]:
        return await self._facts.newest_jobs(queue, state, start=(number - 1) * ROWS, count=ROWS)

    async def _job_context(self, job: JobState) -> dict[str, Any]:
        order = self._facts.order
        place = await order.place_of(job.queue, job.job_id)
        held = (await order.key(job.queue, place.key)).held if place else None
        return {
            "job": job,
            "record": job_record(job),
            "attempts": [(trace.strip().splitlines(), own_frames(trace)) for trace in job.traces],
            "data": (await self._masked_data())(job.data),
            "order_place": place,
            "held": held,
            "now": await self._facts.now_ms(),
        }

    async def _masked_data(self) -> Callable[[bytes | None], str]:
        """Return what shows data without the values that must not be seen."""
        projects = await self._facts.project.get()
        sensitive = sensitive_names(projects[0]) if projects else {}
        return lambda data: shown_data(data, self._facts.settings.masked, sensitive)


def page_number(request: Request) -> int:
    """Return which page of a long table is asked for, from 1 on; 1 for what is not a number."""
    text = request.query_params.get("page", "1")
    return max(1, min(int(text), 1_000_000)) if text.isdecimal() and len(text) < 9 else 1
