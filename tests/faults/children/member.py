"""An instance of a group that shares a channel with partitions, in its own process."""

import asyncio
import signal
from dataclasses import dataclass
from datetime import timedelta

from support.partitions import subscriber


@dataclass(frozen=True, kw_only=True)
class MemberOrder:
    """The options of a member process."""

    url: str
    """The server."""

    name: str
    """Its name in the group."""

    lease: float
    """How long its leases last, in seconds."""


def run_member(order: MemberOrder) -> None:
    """Run until killed, or until SIGTERM."""
    asyncio.run(_run(order))


async def _run(order: MemberOrder) -> None:
    instance = subscriber(order.url, order.name, timedelta(seconds=order.lease))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, instance.stop)
    async with instance:
        await instance.run()
