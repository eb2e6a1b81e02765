"""Stays that are coded, coded again and cancelled: they show that the events of an aggregate are handled in order."""

from typing import Any, Final

from domainstream.event import BaseEvent
from domainstream.worker import EventContext, Next, PreparedCall

_OF_HOW_MANY: Final = 100
"""One stay of so many is coded again, the second one first: few enough not to change what the demo measures."""


def is_recoded(aggregate_id: str) -> bool:
    """Return whether this is a stay that is coded again and cancelled, or a run, optimization or pricing of one."""
    number = aggregate_id.rpartition("-")[2]
    return number.isdigit() and int(number) % _OF_HOW_MANY == 2


class FailedOnPurposeError(Exception):
    """Raised so that a handler is tried again."""


class FailsAtFirst:
    """A middleware that fails the first event of each stay that is coded again: the later ones come meanwhile."""

    def __init__(self) -> None:
        self._failed: set[str] = set()

    async def __call__(self, call: PreparedCall, call_next: Next) -> None:
        """Fail, or handle the event."""
        aggregate = call.event.aggregate_id
        if is_recoded(aggregate) and aggregate not in self._failed:
            self._failed.add(aggregate)
            raise FailedOnPurposeError(aggregate)
        await call_next(call)


class OrderWatch:
    """Notices events that a queue handles after a later one of their aggregate, for stays that are coded again.

    The events may come from several channels, whose entries have the time of one server.
    """

    def __init__(self) -> None:
        self._latest: dict[str, int] = {}
        self._seen: set[str] = set()

    def is_overtaken(self, event: BaseEvent[Any], context: EventContext) -> bool:
        """Note that an event was handled; return whether a later one was before. A repeat does not count."""
        if not is_recoded(event.aggregate_id) or event.id in self._seen or not context.entry_id:
            return False
        self._seen.add(event.id)
        milliseconds = int(context.entry_id.partition("-")[0])
        latest = self._latest.get(event.aggregate_id, milliseconds)
        self._latest[event.aggregate_id] = max(latest, milliseconds)
        return milliseconds < latest
