"""`domainstream queues`."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Final

from domainstream.cli.common.command import BullPrefix, argument
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.cli.jobs.choice import chosen_queues
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.bullmq.order import BullMQOrder
from domainstream.tools.common.formatting import age, number

RARE: Final = ("prioritized#", "waiting for children#", "waiting in order#")
"""The columns that are shown only if a queue has such jobs: the table fits into 80 columns."""


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

    With QUEUE, only the jobs of that queue, in each of its partitions if it has some.

    \b
    waiting           jobs that may begin
    active            jobs that a worker handles
    delayed           jobs that may begin later, as those that failed and will be retried
    unhandled         those of the delayed jobs that no running build handles yet
    waiting in order  jobs that wait for the one before; domainstream order ls QUEUE says what holds them
    completed         jobs that are done and still kept
    failed            jobs that failed permanently; domainstream jobs ls QUEUE says why
    oldest failure    how long ago the first of them failed
    """  # noqa: D301 - click's mark for a paragraph whose lines it must not rewrap
    where = f"at {server.place} below the prefix {options.bull_prefix}"
    inspection = BullMQInspection(server.nodes, bull_prefix=options.bull_prefix)
    if options.queue is None:
        names: Sequence[str] = await inspection.queues()
    else:
        names = await chosen_queues(server, inspection, options.queue, options.bull_prefix)
    if not names:
        terminal.say(f"There are no queues {where}.")
        return
    states = [await inspection.state(name) for name in names]
    order = BullMQOrder(server.nodes, bull_prefix=options.bull_prefix)
    in_order = {state.queue for state in states if state.waiting_children and await order.state(state.queue)}
    columns = _columns(in_order)
    empty = {heading for heading in RARE if all(columns[heading](state) == "0" for state in states)}
    terminal.table(states, {heading: show for heading, show in columns.items() if heading not in empty})


def _columns(in_order: AbstractSet[str]) -> Columns:
    """Return all columns; BullMQ has one state for what waits for children and what waits for the job before it."""
    return {
        "queue": lambda state: state.queue + (" (paused)" if state.is_paused else ""),
        "waiting#": lambda state: number(state.waiting),
        "active#": lambda state: number(state.active),
        "delayed#": lambda state: number(state.delayed),
        "unhandled#": lambda state: number(state.unhandled),
        "prioritized#": lambda state: number(state.prioritized),
        "waiting for children#": lambda state: number(0 if state.queue in in_order else state.waiting_children),
        "waiting in order#": lambda state: number(state.waiting_children if state.queue in in_order else 0),
        "completed#": lambda state: number(state.completed),
        "failed#": lambda state: number(state.failed),
        "oldest failure": lambda state: age(state.oldest_failed_ms),
    }
