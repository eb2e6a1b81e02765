"""What keeps a subscriber's hand-over exact, and the patches that take it away, for control runs."""

from enum import Enum, auto
from typing import Any

from domainstream.queue.port import QueueBehindError
from domainstream.redis.scripts import Script
from domainstream.stream.reader import turns
from domainstream.subscriber import RedisBullMQStreamSubscriber
from domainstream.subscriber.lost_jobs import LostJobs


class Protection(Enum):
    """What a subscriber of a control run does not do."""

    LEASE = auto()
    """It reads also while another instance does, and does not care whose share a channel is."""

    MARKS = auto()
    """Its queues forget how far they have got when it takes a channel over."""

    COMPARISON = auto()
    """It does not compare the marks of queues with what it has read and added."""


_NOT_OWNED = {"if held[1] ~= me or held[2] ~= epoch then": "if false then"}
_UNLEASED = {
    "TAKE": {"if owner ~= '' and owner ~= me and till > now then": "if false then"},
    "TURN": {**_NOT_OWNED, "local problem = delivered ~= after and": "local problem = false and"},
    "RECOVER": _NOT_OWNED,
}
_UNMARKED = {
    "local lowered = seen > epoch_before and '' or id": "local lowered = ''",
    "fenced[#fenced + 1] = {'0', id, before}": "fenced[#fenced + 1] = {'0', '', before}",
}


def disarm(subscriber: RedisBullMQStreamSubscriber, protection: Protection) -> None:
    """Take a protection away from all subscribers of this process, of which this is one."""
    if protection is Protection.LEASE:
        subscriber._shares = None
        for name, changes in _UNLEASED.items():
            vars(turns)[name] = _changed(vars(turns)[name], changes)
    elif protection is Protection.COMPARISON:
        lost: Any = LostJobs
        lost.compare, lost.note_behind = _compare_nothing, _take_for_right
    else:
        adder: Any = next(iter(subscriber._hand_overs.values()))._parts.adder
        adder._fence = _changed(adder._fence, _UNMARKED)


def _compare_nothing(_lost: LostJobs, _fenced: Any) -> None:
    pass


def _take_for_right(lost: LostJobs, behind: QueueBehindError) -> None:
    lost._epoch.reached.pop(behind.queue, None)


def _changed(script: Script, changes: dict[str, str]) -> Script:
    text = script.text
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return Script.of(text)
