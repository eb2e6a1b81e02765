"""The page that shows what streams and queues keep, and what was lost."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domainstream.queue.bullmq.keeping import QueueKeeping, read_keeping
from domainstream.stream.dead_letters import DeadLetterState
from domainstream.tools.dashboard.cached import Cached
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.dashboard.pages import page_number
from domainstream.tools.dashboard.rendering import page
from domainstream.tools.retention import LEAST_MS, LONGEST_MS, ChannelRetention, Look, read_retention

ROWS: Final = 50
"""How many channels a page has."""

LISTED: Final = 50
"""How many losses, groups that are near one, and queues are listed."""

LONGEST_FILTER: Final = 200


class RetentionPages:
    """The page of retention and losses."""

    def __init__(self, facts: Facts) -> None:
        """Show `facts`."""
        self._facts = facts
        self._looks: dict[str, Look] = {}
        self._channels = Cached(self._read, seconds=5)
        self._queues = Cached(self._keeping, seconds=30)

    def routes(self) -> list[Route]:
        """Return where the page is."""
        return [Route("/retention", self.retention)]

    async def retention(self, request: Request) -> Response:
        """Show losses, who is near one, and a page of the channels with what they keep."""
        wanted, number = request.query_params.get("q", "").strip()[:LONGEST_FILTER], page_number(request)
        channels = await self._channels.get()
        groups = [(channel, group) for channel in channels for group in channel.groups]
        near = [pair for pair in groups if pair[1].is_near]
        chosen = [one for one in channels if wanted.lower() in one.stream.channel.lower()]
        shown = chosen[(number - 1) * ROWS : number * ROWS]
        context = {
            "channels": channels,
            "lost": sorted((pair for pair in groups if pair[1].state.lost), key=lambda pair: -pair[1].state.lost),
            "near": sorted(near, key=lambda pair: pair[1].lost_in_ms or 0),
            "chosen": chosen,
            "shown": shown,
            "sizes": await self._facts.server.streams.memory_of([one.stream.channel for one in shown]),
            "dead": await self._dead(shown),
            "queues": await self._queues.get(),
            "limits": self._facts.settings.retention,
            "wanted": wanted,
            "page_number": number,
            "has_more": len(chosen) > number * ROWS,
            "listed": LISTED,
        }
        return page(request, "retention.html", context)

    async def _read(self) -> list[ChannelRetention]:
        channels = await read_retention(self._facts.server, self._facts.settings.retention, self._looks)
        kept: dict[str, Look] = {}
        for one in channels:
            before = self._looks.get(one.stream.channel)
            # A look is kept until it is old enough to say something, and replaced once it says it.
            is_young = before is not None and one.now_ms - before.at_ms < max(LEAST_MS, LONGEST_MS // 10)
            if before is not None and is_young:
                kept[one.stream.channel] = before
            elif one.stream.added is not None:
                kept[one.stream.channel] = Look(added=one.stream.added, at_ms=one.now_ms)
        self._looks = kept
        return channels

    async def _keeping(self) -> list[QueueKeeping]:
        facts = self._facts
        queues = (await facts.names.get()).queues
        return await read_keeping(facts.nodes, queues, bull_prefix=facts.settings.bull_prefix)

    async def _dead(self, shown: Sequence[ChannelRetention]) -> dict[str, DeadLetterState]:
        """Return the dead letters of those channels that have any."""
        known = {one.stream.channel for one in shown} & set((await self._facts.names.get()).dead)
        found = {channel: await self._facts.server.dead_letters.state(channel) for channel in known}
        return {channel: state for channel, state in found.items() if state}
