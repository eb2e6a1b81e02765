"""`domainstream queues`."""

from dataclasses import dataclass
from typing import Annotated, Final

from domainstream.cli.common.command import BullPrefix, argument
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import number

QUEUES: Final[Columns] = {
    "queue": lambda state: state.queue + (" (paused)" if state.is_paused else ""),
    "waiting#": lambda state: number(state.waiting),
    "active#": lambda state: number(state.active),
    "delayed#": lambda state: number(state.delayed),
    "prioritized#": lambda state: number(state.prioritized),
    "waiting for children#": lambda state: number(state.waiting_children),
    "completed#": lambda state: number(state.completed),
    "failed#": lambda state: number(state.failed),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuesOptions:
    """The options of `queues`."""

    queue: Annotated[str | None, argument(required=False)]
    """The queue; None for all."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""


@server_command(QueuesOptions)
async def queues(server: RedisServer, terminal: Terminal, options: QueuesOptions) -> None:
    """Count the jobs of each BullMQ queue by state.

    With QUEUE, only the jobs of that queue.
    """
    where = f"at {server.place} below the prefix {options.bull_prefix}"
    inspection = BullMQInspection(server.client, bull_prefix=options.bull_prefix)
    names = await inspection.queues()
    if options.queue is not None:
        if options.queue not in names:
            raise NotFoundError.of("queue", options.queue, names, where=where, look="domainstream queues")
        names = [options.queue]
    if not names:
        terminal.say(f"There are no queues {where}.")
        return
    terminal.table([await inspection.state(name) for name in names], QUEUES)
