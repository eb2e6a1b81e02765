"""Steps after which a subscriber dies, and the patches that make it die there."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

from faults.children.process import die

from domainstream.queue import TwoStepForwarder
from domainstream.stream import StreamReader
from domainstream.subscriber import RedisBullMQStreamSubscriber


class Failpoint(Enum):
    """After which step a subscriber dies."""

    READ = auto()
    """Entries were delivered to it, and nothing has been done with them."""

    SCRIPT = auto()
    """The server has forwarded a batch in one step; the reply is not seen."""

    SOME_JOBS = auto()
    """Of a batch that is forwarded in steps, some jobs are added."""

    ALL_JOBS = auto()
    """Of a batch that is forwarded in steps, all jobs are added, and nothing is acknowledged."""

    @property
    def in_steps(self) -> bool:
        """Whether only a subscriber that forwards in steps reaches it."""
        return self in (Failpoint.SOME_JOBS, Failpoint.ALL_JOBS)


def arm(subscriber: RedisBullMQStreamSubscriber, failpoint: Failpoint, nth: int) -> None:
    """Let this process die when it reaches a failpoint for the `nth` time."""
    forwarder = subscriber._forwarder
    if failpoint is Failpoint.READ:
        _die_after_reading(subscriber._reader, nth)
    elif failpoint is Failpoint.SCRIPT:
        _die_after_giving(forwarder, "forward", nth)
    else:
        assert isinstance(forwarder, TwoStepForwarder)
        _die_after_giving(forwarder._queue, "add", nth, parts=3 if failpoint is Failpoint.SOME_JOBS else 1)


def _die_after_reading(reader: StreamReader, nth: int) -> None:
    read, left = reader.read, nth

    async def dying() -> Any:
        nonlocal left
        deliveries = await read()
        left -= bool(deliveries)
        if left == 0:
            die()
        return deliveries

    _replace(reader, "read", dying)


def _die_after_giving(owner: Any, name: str, nth: int, parts: int = 1) -> None:
    """Die after the first of `parts` parts of the `nth` batch."""
    give, left = getattr(owner, name), nth

    async def dying(items: Sequence[Any]) -> None:
        nonlocal left
        left -= bool(items)
        await give(items if left > 0 else items[: len(items) // parts + 1])
        if left == 0:
            die()

    _replace(owner, name, dying)


def _replace(owner: Any, name: str, call: Any) -> None:
    setattr(owner, name, call)
