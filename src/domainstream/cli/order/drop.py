"""`domainstream order drop`."""

from collections.abc import Sequence

from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.cli.order.choice import KeyChoice, key_not_found, named_keys, open_order
from domainstream.queue.bullmq.order import BullMQOrder
from domainstream.tools.common.formatting import plural


class DropOutcome(Struct, frozen=True, kw_only=True):
    """What was done, or would be."""

    queue: str
    """The queue's name."""

    chosen: int
    """How many keys were chosen."""

    jobs: int
    """How many jobs of theirs were not done; with `--all`, how many waited for another."""

    removed: int
    """How many jobs were removed. 0 for a dry run."""

    dry_run: bool
    """Whether nothing was changed."""


@server_command(KeyChoice)
async def drop(server: RedisServer, terminal: Terminal, options: KeyChoice) -> int:
    """Delete all failed and waiting jobs of keys permanently.

    Name the keys, or choose all of the queue with --all. Jobs that a worker handles at the moment stay, and so do those
    that were skipped. Those that are added meanwhile may go, too. The events stay in their streams, for as long as
    those keep them.

    Use --all before or instead of BullMQ's obliterate, which leaves waiting jobs behind.
    """
    queue, names = options.queue, named_keys(options)
    order, queues = await open_order(server, options)
    chosen, jobs = await (_all(order, queues) if options.all else _named(server, options, order, queues))
    kept = f", {jobs:,} of which wait for another" if options.all else ""
    words = f"all jobs of {plural(chosen, 'key')} of {queue}" if options.all else f"{plural(jobs, 'job')} of {queue}"
    if options.dry_run:
        outcome = DropOutcome(queue=queue, chosen=chosen, jobs=jobs, removed=0, dry_run=True)
        terminal.line(outcome, f"{words} would be removed{kept}")
        return exits.OK
    confirm(f"Permanently delete {words} at {server.place}{kept}?", yes=options.yes)
    removed = sum([await (order.drop_all(each) if options.all else order.drop(each, names)) for each in queues])
    outcome = DropOutcome(queue=queue, chosen=chosen, jobs=jobs, removed=removed, dry_run=False)
    terminal.line(outcome, f"{plural(removed, 'job')} of {plural(chosen, 'key')} of {queue} removed")
    return exits.OK


async def _all(order: BullMQOrder, queues: Sequence[str]) -> tuple[int, int]:
    """Return how many keys the queue has, and how many jobs wait for another."""
    states = [state for queue in queues if (state := await order.state(queue))]
    return sum(state.keys for state in states), sum(state.waiting for state in states)


async def _named(server: RedisServer, options: KeyChoice, order: BullMQOrder, queues: Sequence[str]) -> tuple[int, int]:
    """Return how many keys were named, and how many jobs they have; raise `NotFoundError` for one without jobs."""
    names = named_keys(options)
    jobs = {name: sum([(await order.key(queue, name)).jobs for queue in queues]) for name in names}
    missing = [name for name, count in jobs.items() if not count]
    if missing:
        raise key_not_found(server, options, "key", missing)
    return len(names), sum(jobs.values())
