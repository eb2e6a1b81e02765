"""`domainstream order retry` and `domainstream order skip`."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.cli.order.choice import KeyChoice, key_not_found, named_keys, open_order
from domainstream.queue.bullmq.order import BullMQOrder
from domainstream.tools.common.formatting import plural


class OrderOutcome(Struct, frozen=True, kw_only=True):
    """What was done, or would be."""

    queue: str
    """The queue's name."""

    done: str
    """`retried` or `skipped`."""

    chosen: int
    """How many held keys were chosen."""

    waiting: int
    """How many jobs waited behind the failed ones."""

    changed: int
    """How many keys were still held, and go on now. 0 for a dry run."""

    dry_run: bool
    """Whether nothing was changed."""


@server_command(KeyChoice)
async def retry(server: RedisServer, terminal: Terminal, options: KeyChoice) -> int:
    """Start the failed jobs again that hold keys; the rest follows in order.

    Fix the cause first. Name the keys, or choose all of the queue with --all. The failed jobs get all their attempts
    again; those behind them follow one after the other.

    Exit code 5: some of the keys that were named were not held any more.
    """
    return await _go_on(server, terminal, options, "retried")


@server_command(KeyChoice)
async def skip(server: RedisServer, terminal: Terminal, options: KeyChoice) -> int:
    """Let the jobs pass that wait behind failed ones.

    Their handlers miss what the failed jobs should have done. Name the keys, or choose all of the queue with --all. The
    failed jobs stay failed: what is retried of them later is handled out of order.

    Exit code 5: some of the keys that were named were not held any more.
    """
    return await _go_on(server, terminal, options, "skipped")


async def _go_on(server: RedisServer, terminal: Terminal, options: KeyChoice, done: str) -> int:
    order, queues = await open_order(server, options)
    held = await _held(server, options, order, queues)
    queue, count = options.queue, len(held)
    waiting = sum(key.waiting for key in held)
    failed, behind = plural(count, "failed job"), plural(waiting, "job")
    if options.dry_run:
        outcome = OrderOutcome(queue=queue, done=done, chosen=count, waiting=waiting, changed=0, dry_run=True)
        terminal.line(outcome, f"{failed} of {queue} would be {done}; {behind} behind")
        return exits.OK
    if held and done == "retried":
        confirm(f"Retry {failed} of {queue} at {server.place}, and then {behind} behind?", yes=options.yes)
    elif held:
        confirm(f"Skip {failed} of {queue} at {server.place}, and go on with {behind} behind?", yes=options.yes)
    act, keys = order.retry if done == "retried" else order.skip, dict[str, list[str]]()
    for key in held:
        keys.setdefault(key.queue, []).append(key.key)
    changed = sum([await act(each, own) for each, own in keys.items()])
    outcome = OrderOutcome(queue=queue, done=done, chosen=count, waiting=waiting, changed=changed, dry_run=False)
    terminal.line(outcome, f"{changed:,} of {failed} of {queue} {done}; {behind} behind")
    if changed < count:
        terminal.warn(f"{plural(count - changed, 'key')} had gone on meanwhile")
    return exits.PARTIAL if options.keys and changed < count else exits.OK


class _Held(NamedTuple):
    """What is remembered of a held key: there may be many."""

    queue: str
    key: str
    waiting: int


async def _held(server: RedisServer, options: KeyChoice, order: BullMQOrder, queues: Sequence[str]) -> list[_Held]:
    """Return the chosen keys; raise `NotFoundError` for one that is not held in any of these BullMQ queues."""
    names = named_keys(options)
    if options.all:
        return [_Held(queue, key.key, key.waiting) for queue in queues async for key in order.held(queue)]
    found = [
        _Held(queue, name, held.waiting)
        for name in names
        for queue in queues
        if (held := (await order.key(queue, name)).held)
    ]
    missing = [name for name in names if name not in {key.key for key in found}]
    if missing:
        raise key_not_found(server, options, "held key", missing)
    return found
