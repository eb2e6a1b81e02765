"""The valuation process: handles the events of coding."""

import asyncio

from domainstream.tools.demo.children.child import run_child
from domainstream.tools.demo.children.reporter import Reporter
from domainstream.tools.demo.children.service import handle_events, open_publisher
from domainstream.tools.demo.settings import ChildSettings
from valuation.bootstrap import wire


async def work(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Serve until cancelled."""
    async with open_publisher(settings, reporter) as publisher:
        await handle_events(wire(publisher).consumer, settings, reporter)


if __name__ == "__main__":
    run_child(work)
