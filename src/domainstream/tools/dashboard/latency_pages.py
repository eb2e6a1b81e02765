"""The page that shows how far behind groups are, and how long events take until they are handled."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domainstream.tools.dashboard.cached import Cached
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.dashboard.rendering import page
from domainstream.tools.latency import HandlerLatency, read_latency

MOST: Final = 200
"""How many completed jobs of each queue are read, and how many failed ones: the newest."""

LISTED: Final = 200
"""How many rows of each table are shown."""


class LatencyPages:
    """The page of lag and latency."""

    def __init__(self, facts: Facts) -> None:
        """Show `facts`."""
        self._facts = facts
        self._latencies = Cached(self._read, seconds=10)

    def routes(self) -> list[Route]:
        """Return where the page is."""
        return [Route("/latency", self.latency)]

    async def latency(self, request: Request) -> Response:
        """Show the groups, those furthest behind first, and the handlers, the slowest first."""
        channels = await self._facts.channels.get()
        groups = [(channel.channel, group) for channel in channels for group in channel.groups]
        context = {
            "groups": sorted(groups, key=lambda pair: -(pair[1].oldest_ms or 0)),
            "handlers": await self._latencies.get(),
            "most": MOST,
            "listed": LISTED,
        }
        return page(request, "latency.html", context)

    async def _read(self) -> list[HandlerLatency]:
        return await read_latency(self._facts.jobs, (await self._facts.names.get()).queues, most=MOST)
