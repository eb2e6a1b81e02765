"""Steps after which a subscriber dies or falls asleep, and the patches that make it do so."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from typing import Any

from faults.children.process import die, fall_asleep

from domainstream.queue.bullmq.job_adder import BullMQJobAdder
from domainstream.redis.link import RedisLink
from domainstream.subscriber import RedisBullMQStreamSubscriber


class Failpoint(Enum):
    """After which step a subscriber dies."""

    TAKEN = auto()
    """It has a channel's lease, and no queue has heard of that."""

    FENCED = auto()
    """The queues have heard of it, and nothing has been read."""

    READ = auto()
    """Entries were delivered to it, and nothing has been done with them."""

    SENT = auto()
    """The calls that add jobs are written to the socket; the server runs them while it dies, or when it is dead."""

    ADDED = auto()
    """Jobs are added, and their entries are not acknowledged."""

    ACKNOWLEDGED = auto()
    """Entries are acknowledged, and the reply with the next ones is not seen."""

    DEAD = auto()
    """A dead letter is stored, and the other entries of its batch are not acknowledged."""


def arm(subscriber: RedisBullMQStreamSubscriber, failpoint: Failpoint, nth: int, *, sleeps: bool) -> None:
    """Let this process die when it reaches a failpoint for the `nth` time, or, if it `sleeps`, suspend itself."""
    parts: Any = next(iter(subscriber._hand_overs.values()))._parts
    reader, adder = parts.reader, parts.adder
    steps: dict[Failpoint, tuple[Any, str, Callable[..., Any]]] = {
        Failpoint.TAKEN: (reader, "take", lambda _call, _reply: True),
        Failpoint.FENCED: (adder, "fence", lambda _call, _reply: True),
        Failpoint.READ: (reader, "turn", lambda _call, turn: turn.deliveries),
        Failpoint.ADDED: (adder, "add", lambda _call, _reply: True),
        Failpoint.ACKNOWLEDGED: (reader, "turn", lambda call, _turn: call[3]),
        Failpoint.DEAD: (reader, "store_dead", lambda _call, _reply: True),
    }
    if failpoint is Failpoint.SENT:
        _die_while_adding(adder, nth)
    else:
        _end_after(*steps[failpoint], nth, fall_asleep if sleeps else die)


def _end_after(owner: Any, name: str, counts: Callable[..., Any], nth: int, end: Callable[[], None]) -> None:
    """Die or sleep when a call of a method has returned for the `nth` time, of those that count."""
    step, left = getattr(owner, name), nth

    async def dying(*call: Any, **options: Any) -> Any:
        nonlocal left
        reply = await step(*call, **options)
        if counts(call, reply):
            left -= 1
            if left == 0:
                end()
        return reply

    setattr(owner, name, dying)


def _die_while_adding(adder: BullMQJobAdder, nth: int) -> None:
    """Die when the calls of the `nth` batch of jobs are on their way."""
    eval_each, left = RedisLink.eval_each, nth

    async def dying(link: RedisLink, script: Any, calls: Sequence[Any], **options: Any) -> Any:
        nonlocal left
        left -= script is adder._add
        if left > 0:
            return await eval_each(link, script, calls, **options)
        connection = await link._connect()
        send: Callable[..., Awaitable[None]] = connection.send_packed_command
        for call in calls:
            await send(connection.pack_command("EVALSHA", script.sha, *call), check_health=False)
        return die()

    patched: Any = RedisLink
    patched.eval_each = dying
