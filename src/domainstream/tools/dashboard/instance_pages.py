"""The page that shows who is alive."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domainstream.tools.dashboard.cached import Cached
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.dashboard.rendering import page
from domainstream.tools.instances import read_instances

LISTED: Final = 200
"""How many rows of each table are shown."""


class InstancePages:
    """The page of instances."""

    def __init__(self, facts: Facts) -> None:
        """Show who uses the server of `facts`."""
        self._facts = facts
        self._instances = Cached(
            lambda: read_instances(facts.server, bull_prefix=facts.settings.bull_prefix), seconds=5
        )

    def routes(self) -> list[Route]:
        """Return where the page is."""
        return [Route("/instances", self.instances)]

    async def instances(self, request: Request) -> Response:
        """List subscribers, workers and connections, and what nobody reads any more."""
        found = await self._instances.get()
        context = {"found": found, "listed": LISTED, "queues": (await self._facts.names.get()).queues}
        return page(request, "instances.html", context)
