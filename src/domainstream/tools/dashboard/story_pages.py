"""The pages that show how things hang together: the story of something, and the map of the system."""

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from domainstream.queue.bullmq.workers import worker_counts
from domainstream.tools.dashboard.cached import Cached
from domainstream.tools.dashboard.contracts import InFlight
from domainstream.tools.dashboard.drift import Drift, idle_queues, newer_versions, unknown_channels
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.dashboard.map_links import Links, expected_jobs, links_of_code, links_on_server
from domainstream.tools.dashboard.rendering import page
from domainstream.tools.dashboard.story import Story, story_of
from domainstream.tools.dashboard.system_map import COLUMNS, HEIGHT, WIDTHS, draw_map, left_of
from domainstream.tools.timeline import Search, timeline_of

LONGEST_ID: Final = 500

MOST_WAITING: Final = 20
"""Of how many waiting jobs a story says what they wait for."""

SEARCHES: Final = 2
"""How many stories are searched for at once; others wait, because each reads much of what is stored."""

MOST_EVENTS: Final = 200
"""How many events of a story are shown, the first ones."""


class StoryPages:
    """The pages of stories and of the map. Each is a method that answers a request."""

    def __init__(self, facts: Facts, in_flight: Cached[InFlight]) -> None:
        """Show `facts`, and the versions of events that are in flight."""
        self._facts = facts
        self._in_flight = in_flight
        self._workers = Cached(self._count_workers, seconds=5)
        self._links = Cached(lambda: links_on_server(facts), seconds=10)
        self._searches = asyncio.Semaphore(SEARCHES)

    async def story(self, request: Request) -> Response:
        """Show what is known about a transaction, an aggregate or an event; without an id, the search box."""
        wanted = request.query_params.get("id", "").strip()[:LONGEST_ID]
        context: dict[str, Any] = {
            "wanted": wanted,
            "story": None,
            "cut": [],
            "unsearched": [],
            "limit": self._facts.settings.search_limit,
            "trace_url": self._facts.settings.trace_url,
        }
        if wanted:
            all_jobs = request.query_params.get("jobs") == "all"
            async with self._searches:
                story, search, of = await self._search(wanted, all_jobs=all_jobs)
            context |= {"story": story, "cut": search.cut, "unsearched": search.unsearched, "of": of}
            context |= {"most": MOST_EVENTS, "before": await self._before(story)}
        return page(request, "story.html", context)

    async def map(self, request: Request) -> Response:
        """Draw the map of the system."""
        seen = await self._links.get()
        context = {
            "map": await draw_map(self._facts, seen, await self._drifts(seen)),
            "columns": [(name, left_of(number)) for number, name in enumerate(COLUMNS)],
            "widths": WIDTHS,
            "box_height": HEIGHT,
            "has_code": self._facts.settings.system is not None,
        }
        return page(request, "map.html", context)

    async def _drifts(self, seen: Links) -> list[Drift]:
        """Return where server and code differ, and the queues without workers."""
        projects, queues = await self._facts.project.get(), await self._facts.queues.get()
        subscribed = {queue for _, queue in seen.queued}
        drifts: list[Drift] = []
        for project in projects:
            subscribed |= {queue for _, queue in links_of_code(project).queued}
            drifts += unknown_channels(project, await self._facts.channels.get())
            drifts += newer_versions(project, await self._in_flight.get())
        return [*drifts, *idle_queues(queues, subscribed, await self._workers.get())]

    async def _count_workers(self) -> dict[str, int] | None:
        queues = (await self._facts.names.get()).queues
        return await worker_counts(self._facts.nodes, queues, bull_prefix=self._facts.settings.bull_prefix)

    async def _search(self, wanted: str, *, all_jobs: bool) -> tuple[Story, Search, str]:
        """Return the story, the search that found it, and the transaction that an event belongs to, if any."""
        story, search = await self._story_of(wanted, all_jobs=all_jobs)
        transactions = story.transactions
        is_event = any(event.event_id == wanted for event in story.events)
        if is_event and len(transactions) == 1 and transactions[0] != wanted:
            whole, search = await self._story_of(transactions[0], all_jobs=all_jobs)
            return whole, search, transactions[0]
        return story, search, ""

    async def _before(self, story: Story) -> dict[tuple[str, str], str]:
        """Return the id of the job that each waiting job waits for, by its queue and its own id."""
        waiting = [job for event in story.events for job in event.jobs if job.outcome == "waiting"]
        places = {
            (job.queue, job.job_id): await self._facts.order.place_of(job.queue, job.job_id)
            for job in waiting[:MOST_WAITING]
        }
        return {job: place.waits_for for job, place in places.items() if place and place.waits_for}

    async def _story_of(self, wanted: str, *, all_jobs: bool) -> tuple[Story, Search]:
        facts, settings = self._facts, self._facts.settings
        search = Search(wanted, limit=settings.search_limit, report=lambda _number, _place: None, all_jobs=all_jobs)
        timeline = await timeline_of(
            facts.nodes, search, since="-", prefix=settings.prefix, bull_prefix=settings.bull_prefix
        )
        names = {one.channel for one in timeline if one.channel}
        channels = {channel.channel: channel for channel in await facts.channel_facts(*names)}
        projects = await facts.project.get()
        expected = expected_jobs(projects[0]) if projects else {}
        return story_of(timeline, channels, expected, now_ms=await facts.now_ms()), search
