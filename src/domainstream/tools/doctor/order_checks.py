"""The doctor's checks of queues whose jobs are handled in order."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from domainstream.queue.bullmq.order import BullMQOrder, OrderState
from domainstream.queue.partitions import by_queue
from domainstream.tools.common.formatting import age, plural
from domainstream.tools.doctor.finding import Finding, command, ok, warning

LATE_MS: Final = 30_000
"""Subscribers look after such queues every second, by their own clocks."""


class HeldKeys(Struct, kw_only=True):
    """The keys of one queue that failed jobs hold, in all of its partitions, and what nobody lets go."""

    queue: str
    """The queue's name."""

    keys: int = 0
    """How many keys are held."""

    waiting: int = 0
    """How many jobs wait behind the failed ones."""

    oldest_ms: int = 0
    """Since when the first of them is held, in milliseconds since 1970; 0 without any."""

    left: list[OrderState] = msgspec.field(default_factory=list)
    """The state of each BullMQ queue that no subscriber has looked after lately, although it has to."""


async def inspect_order(order: BullMQOrder, queues: Sequence[str], *, bull_prefix: str, now_ms: int) -> list[Finding]:
    """Check these BullMQ queues: which of them have held keys, or jobs that nobody lets go."""
    found = dict[str, HeldKeys]()
    for queue, own in by_queue(queues).items():
        for name in own:
            state = await order.state(name)
            if state is None:
                continue
            held = found.setdefault(queue, HeldKeys(queue=queue))
            held.left += [state] if is_left_alone(state, now_ms=now_ms) else []
            async for key in order.held(name):
                held.keys += 1
                held.waiting += key.waiting
                held.oldest_ms = min(held.oldest_ms or key.since_ms, key.since_ms)
    return [*order_findings(list(found.values()), bull_prefix=bull_prefix, now_ms=now_ms)]


def order_findings(queues: Sequence[HeldKeys], *, bull_prefix: str, now_ms: int) -> Iterator[Finding]:
    """Check which queues have held keys, and jobs that nobody lets go."""
    prefixed = () if bull_prefix == "bull" else ("--bull-prefix", bull_prefix)
    for held in queues:
        if held.keys:
            first = "" if held.keys == 1 else "the first "
            words = (
                f"{held.queue} has {plural(held.keys, 'held key')}, {first}for {age(now_ms - held.oldest_ms)}: "
                f"{plural(held.waiting, 'job')} wait until the failed one before is retried, skipped or removed"
            )
            yield warning("held keys", words, command("order", "ls", held.queue, *prefixed))
        if held.left:
            looks = [state.tended_ms for state in held.left if state.tended_ms is not None]
            since = f"has for {age(now_ms - min(looks))}" if looks else "ever has"
            mailbox = sum(state.mailbox for state in held.left)
            gone = f"{plural(mailbox, 'job')} of {held.queue}, whose job before is gone, can go on"
            words = gone if mailbox else f"jobs of {held.queue} go on behind failed ones"
            words = f"{words} only when a subscriber looks after the queue, and none {since}: start one that has it"
            yield warning("order", words, command("run", "subscriber", "MODULE:SUBSCRIPTIONS", *prefixed))
    if queues and not any(held.keys or held.left for held in queues):
        yield ok("order", f"no key is held, in {plural(len(queues), 'queue')} whose jobs are handled in order")


def is_left_alone(state: OrderState, *, now_ms: int) -> bool:
    """Return whether jobs wait for a subscriber, and none has looked after the queue lately."""
    needs = state.mailbox or (state.on_failure == "skip" and state.waiting)
    return bool(needs) and (state.tended_ms is None or now_ms - state.tended_ms > LATE_MS)
