"""`domainstream queues`."""

from typing import Final

import click

from domainstream.cli.common.errors import NotFoundError
from domainstream.cli.common.formatting import number, printable
from domainstream.cli.common.options import bull_prefix_option
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.tables import Columns
from domainstream.cli.common.terminal import Terminal
from domainstream.queue.bullmq.inspection import BullMQInspection

QUEUES: Final[Columns] = {
    "queue": lambda one: printable(one.queue) + (" (paused)" if one.is_paused else ""),
    "waiting#": lambda one: number(one.waiting),
    "active#": lambda one: number(one.active),
    "delayed#": lambda one: number(one.delayed),
    "prioritized#": lambda one: number(one.prioritized),
    "waiting for children#": lambda one: number(one.waiting_children),
    "completed#": lambda one: number(one.completed),
    "failed#": lambda one: number(one.failed),
}


@click.command()
@click.argument("queue", required=False)
@bull_prefix_option
@server_command
async def queues(server: RedisServer, terminal: Terminal, *, queue: str | None, bull_prefix: str) -> None:
    """Count the jobs of each BullMQ queue, or of one, by state."""
    inspection = BullMQInspection(server.client, bull_prefix=bull_prefix)
    names = await inspection.queues()
    if queue is not None:
        if queue not in names:
            where = f"at {server.place} below the prefix {bull_prefix}"
            raise NotFoundError.of("queue", queue, names, where=where, look="domainstream queues")
        names = [queue]
    if not names:
        terminal.say(f"There are no queues at {server.place} below the prefix {bull_prefix}.")
        return
    terminal.table([await inspection.state(name) for name in names], QUEUES)
