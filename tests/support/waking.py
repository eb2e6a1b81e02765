"""Ways into and out of wake-ups."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from support.consuming import PATIENCE

from domainstream.lifecycle import cancel_and_wait
from domainstream.stream.reader.wake_ups import WakeUps
from domainstream.testing.server_lab import LabNode

NEVER: Final = timedelta(hours=1)
"""A poll that a test does not live to see."""

TRACKING: Final = "flags=PtB"
"""How CLIENT LIST shows a subscriber that tracks keys by their prefixes."""


@asynccontextmanager
async def awake(url: str, keys: Collection[str], *, poll: timedelta = NEVER) -> AsyncIterator[WakeUps]:
    """Listen for wake-ups; the first one, which names all streams, has come."""
    wake_ups = WakeUps(url, {key: key for key in keys}, poll=poll)
    running = asyncio.create_task(wake_ups.run())
    try:
        assert await wake_ups.wait(PATIENCE) == set(keys)
        yield wake_ups
    finally:
        await cancel_and_wait(running)


async def heard_at(wake_ups: WakeUps, *nodes: LabNode) -> None:
    """Wait until these nodes name what changes, and take the wake-ups until then."""
    async with asyncio.timeout(PATIENCE):
        while await wake_ups.wait(0.05) or not all(map(is_heard, nodes)):
            pass


def is_heard(node: LabNode) -> bool:
    """Return whether a node names what changes."""
    return TRACKING in node.command("CLIENT", "LIST")


async def add(node: LabNode, key: str) -> None:
    """Add an entry at a node."""
    await asyncio.to_thread(node.command, "XADD", key, "*", "data", "event")
