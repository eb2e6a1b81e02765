"""What operators may change. An action is planned first, so that a page can ask with its number."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from domainstream.queue.bullmq.repair import BullMQRepair
from domainstream.stream import RedisDeadLetterRedrive
from domainstream.stream.state import id_order
from domainstream.tools.common.formatting import plural
from domainstream.tools.dashboard.facts import HELD_LIMIT, Facts
from domainstream.tools.dashboard.failures import FailureGroup, FailureSamples
from domainstream.tools.dashboard.rendering import path_to

REDRIVE_LIMIT: Final = 1_000
"""How many dead letters are put back at once."""

Chosen = Mapping[str, str]
"""What an action is about, by the names of `PARAMETERS`; empty for what it is not about."""


class Plan(NamedTuple):
    """What an action would do."""

    question: str
    """What is asked before."""

    button: str
    """The word on the button that agrees."""

    consequences: tuple[str, ...]
    """What to know before, in sentences."""

    target: str
    """What it is about, for the log."""

    chosen: int
    """How many jobs, keys or dead letters were chosen."""

    run: Callable[[], Awaitable[int]]
    """Does it, and returns how many were changed."""

    done: str
    """What was done, as in `3 of 4 retried`."""

    back: str
    """The page that is shown afterwards."""

    is_final: bool = False
    """Whether it cannot be undone."""


class Actions:
    """Plans actions from the facts."""

    def __init__(self, facts: Facts, samples: FailureSamples) -> None:
        """Plan with `facts` and the failures in `samples`."""
        self._facts = facts
        self._samples = samples
        self._repair = BullMQRepair(facts.nodes, bull_prefix=facts.settings.bull_prefix)
        self._redrive = RedisDeadLetterRedrive(facts.nodes, prefix=facts.settings.prefix)

    async def plan(self, action: str, chosen: Chosen) -> Plan | None:
        """Return the plan of an action; None if there is no such action, or nothing that it is about."""
        plans: Mapping[str, Callable[[str, Chosen], Awaitable[Plan | None]]] = {
            "retry-group": self._group,
            "remove-group": self._group,
            "retry-job": self._job,
            "remove-job": self._job,
            "retry-key": self._keys,
            "skip-key": self._keys,
            "drop-key": self._drop,
            "retry-keys": self._keys,
            "skip-keys": self._keys,
            "redrive": self._letters,
            "redrive-all": self._letters,
        }
        return await plans[action](action, chosen) if action in plans else None

    async def _group(self, action: str, chosen: Chosen) -> Plan | None:
        queue = chosen["queue"]
        if queue not in (await self._facts.names.get()).queues:
            return None
        sample = await self._samples.of(queue)
        group = sample.group(chosen["group"])
        if group is None:
            return None
        more = "" if sample.is_complete else f" These are those among the newest {sample.read:,} failed jobs."
        cause = f"{group.cause.error or 'Error'} in {group.cause.job}"
        return self._of_jobs(action, queue, group, f"{cause}.{more}")

    def _of_jobs(self, action: str, queue: str, group: FailureGroup, what: str) -> Plan:
        ids = [job.id for job in group.jobs]
        jobs, back = plural(len(ids), "failed job"), path_to("failures")
        if action == "retry-group":
            return Plan(
                question=f"Retry {jobs} of {queue}?",
                button=f"Retry {plural(len(ids), 'job')}",
                consequences=(what, "Fix the cause first. They get all their attempts again."),
                target=f"{queue} {group.cause.job} {group.cause.error}",
                chosen=len(ids),
                run=lambda: self._repair.retry(queue, ids),
                done="retried",
                back=back,
            )
        return Plan(
            question=f"Permanently delete {jobs} of {queue}?",
            button=f"Delete {plural(len(ids), 'job')}",
            consequences=(what, "Their events stay in their streams, for as long as those keep them."),
            target=f"{queue} {group.cause.job} {group.cause.error}",
            chosen=len(ids),
            run=lambda: self._repair.remove_failed(queue, ids),
            done="deleted",
            back=back,
            is_final=True,
        )

    async def _job(self, action: str, chosen: Chosen) -> Plan | None:
        queue, job_id = chosen["queue"], chosen["job"]
        if queue not in (await self._facts.names.get()).queues:
            return None
        job = await self._facts.jobs.job(queue, job_id)
        if job is None or job.state not in ("failed", "delayed"):
            return None
        repair, is_failed = self._repair, job.state == "failed"
        if action == "retry-job":
            change = repair.retry if is_failed else repair.promote
            attempts = "It gets all its attempts again." if is_failed else "It keeps the attempts that it has left."
            return Plan(
                question=f"Retry {job.name} {job_id}?",
                button="Retry job",
                consequences=(f"Fix the cause first. {attempts}",),
                target=f"{queue} {job_id}",
                chosen=1,
                run=lambda: change(queue, [job_id]),
                done="retried",
                back=path_to("jobs", queue, job_id),
            )
        remove = repair.remove_failed if is_failed else repair.remove_delayed
        return Plan(
            question=f"Permanently delete {job.name} {job_id}?",
            button="Delete job",
            consequences=("Its event stays in its stream, for as long as that keeps it.",),
            target=f"{queue} {job_id}",
            chosen=1,
            run=lambda: remove(queue, [job_id]),
            done="deleted",
            back=path_to("queues", queue),
            is_final=True,
        )

    async def _keys(self, action: str, chosen: Chosen) -> Plan | None:
        queue = chosen["queue"]
        if queue not in (await self._facts.names.get()).queues:
            return None
        if action.endswith("-keys"):
            held = await self._facts.held_keys(queue)
            more = f" These are the last {HELD_LIMIT} that failed." if len(held) == HELD_LIMIT else ""
        else:
            one = (await self._facts.order.key(queue, chosen["key"])).held
            held, more = [one] if one else [], ""
        if not held:
            return None
        keys, waiting = [key.key for key in held], sum(key.waiting for key in held)
        what = f"key {keys[0]}" if len(keys) == 1 else plural(len(keys), "key")
        behind = f"{plural(waiting, 'job')} behind{more and '.'}{more}"
        order, back = self._facts.order, path_to("queues", queue)
        if action.startswith("retry"):
            return Plan(
                question=f"Retry what holds {what} of {queue}?",
                button="Retry",
                consequences=("Fix the cause first.", f"The failed job starts again, and then, in order, {behind}."),
                target=f"{queue} {keys[0] if len(keys) == 1 else ''}".strip(),
                chosen=len(keys),
                run=lambda: order.retry(queue, keys),
                done="retried",
                back=back,
            )
        return Plan(
            question=f"Skip what holds {what} of {queue}?",
            button="Skip",
            consequences=(
                f"It goes on with {behind}. Their handlers miss what the failed job should have done.",
                "The failed job stays failed: if it is retried later, it is handled out of order.",
            ),
            target=f"{queue} {keys[0] if len(keys) == 1 else ''}".strip(),
            chosen=len(keys),
            run=lambda: order.skip(queue, keys),
            done="skipped",
            back=back,
            is_final=True,
        )

    async def _drop(self, _action: str, chosen: Chosen) -> Plan | None:
        queue, key = chosen["queue"], chosen["key"]
        if queue not in (await self._facts.names.get()).queues:
            return None
        jobs = (await self._facts.order.key(queue, key)).jobs
        if not jobs:
            return None
        return Plan(
            question=f"Permanently delete {plural(jobs, 'job')} of key {key} of {queue}?",
            button=f"Delete {plural(jobs, 'job')}",
            consequences=(
                "All failed and waiting jobs of the key go. A job that a worker handles at the moment stays.",
                "The events stay in their streams, for as long as those keep them.",
            ),
            target=f"{queue} {key}",
            chosen=jobs,
            run=lambda: self._facts.order.drop(queue, [key]),
            done="deleted",
            back=path_to("queues", queue),
            is_final=True,
        )

    async def _letters(self, action: str, chosen: Chosen) -> Plan | None:
        channel = chosen["channel"]
        if channel not in (await self._facts.names.get()).dead:
            return None
        if action == "redrive":
            one = await self._facts.server.dead_letters.dead_letter(channel, chosen["letter"])
            ids = [one.dead_letter_id] if one else []
        else:
            ids = [stored.dead_letter_id for stored in await self._facts.dead_letters(channel, REDRIVE_LIMIT)]
        if not ids:
            return None
        more = f"These are the oldest {REDRIVE_LIMIT:,}. " if len(ids) == REDRIVE_LIMIT else ""
        return Plan(
            question=f"Put {plural(len(ids), 'dead letter')} back into {channel}?",
            button=f"Put {plural(len(ids), 'dead letter')} back",
            consequences=(f"{more}Fix the cause first.", "Every group of the channel reads the new entries."),
            target=f"{channel} {ids[0] if len(ids) == 1 else ''}".strip(),
            chosen=len(ids),
            run=lambda: self._put_back(channel, ids),
            done="put back",
            back=path_to("channels", channel),
        )

    async def _put_back(self, channel: str, letter_ids: list[str]) -> int:
        """Put these back, one by one: those that are stored meanwhile stay."""
        results = [
            await self._redrive.redrive(channel, dead_letter_id=letter_id)
            for letter_id in sorted(letter_ids, key=id_order)
        ]
        return sum(len(result.entry_ids) for result in results)
