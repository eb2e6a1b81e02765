"""Stays that are coded twice: the demo shows with them that the events of an aggregate are handled in order."""

from typing import Any, Final

from domainstream.event import BaseEvent
from domainstream.stream.state import id_order
from domainstream.worker import EventContext, Next, PreparedCall

_OF_HOW_MANY: Final = 100
"""One stay of so many is coded twice, the second one first: few enough not to change what the demo measures."""


def is_coded_twice(aggregate_id: str) -> bool:
    """Return whether this is a stay that is coded twice, or a run, optimization or pricing of one."""
    number = aggregate_id.rpartition("-")[2]
    return number.isdigit() and int(number) % _OF_HOW_MANY == 2


class FailedOnPurposeError(Exception):
    """Raised so that a handler is tried again."""


class FailsAtFirst:
    """A middleware that fails the first event of each stay that is coded twice: the second one comes meanwhile."""

    def __init__(self) -> None:
        self._failed: set[str] = set()

    async def __call__(self, call: PreparedCall, call_next: Next) -> None:
        """Fail, or handle the event."""
        aggregate = call.event.aggregate_id
        if is_coded_twice(aggregate) and aggregate not in self._failed:
            self._failed.add(aggregate)
            raise FailedOnPurposeError(aggregate)
        await call_next(call)


class OrderWatch:
    """Notices events that are handled after a later one of their channel and aggregate, for stays coded twice."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], tuple[int, int]] = {}
        self._seen: set[str] = set()

    def is_overtaken(self, event: BaseEvent[Any], context: EventContext) -> bool:
        """Note that an event was handled; return whether a later one was before. A repeat does not count."""
        if not is_coded_twice(event.aggregate_id) or event.id in self._seen or not context.entry_id:
            return False
        self._seen.add(event.id)
        aggregate, entry = (str(event.event_type), event.aggregate_id), id_order(context.entry_id)
        latest = self._latest.get(aggregate, entry)
        self._latest[aggregate] = max(latest, entry)
        return entry < latest
