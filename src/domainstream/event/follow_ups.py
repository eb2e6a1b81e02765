"""Events that follow from an event: their cause, their correlation, and ids that a repeat makes again.

A handler runs at least once. When the id of what it publishes is derived from what it handles, a second run publishes
the same ids as the first; and since a job's id comes from its event's, nothing is handled twice behind the next queue.
"""

from contextlib import AbstractContextManager
from hashlib import sha256
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from domainstream.event.base_event import BaseEvent
from domainstream.event.correlation import correlation_scope

EventT = TypeVar("EventT", bound=BaseEvent[Any])

_FRONT_SHIFT: Final = 80
_BEHIND_FRONT: Final = (1 << _FRONT_SHIFT) - 1
_VERSION: Final = 0xF << 76
_VERSION_8: Final = 8 << 76
_VARIANT: Final = 0b11 << 62
_VARIANT_RFC: Final = 0b10 << 62


def caused_by(event: BaseEvent[Any]) -> AbstractContextManager[None]:
    """Return a context in which `event` is the cause: what a worker does around each handler, for code elsewhere.

    Usage::

        with caused_by(event):
            follow_up = PricingCalculated(...)      # has the correlation id of event, and its id as causation id

    Events made inside, also in tasks and by `asyncio.to_thread`, that are given no `correlation_id` or `causation_id`
    get them from `event`. Ids that are given stay as they are.
    """
    return correlation_scope(correlation_id=event.correlation_id or event.id, causation_id=event.id)


def follow_up(cause: BaseEvent[Any], event: EventT, *, name: str = "") -> EventT:
    """Return `event` as led to by `cause`, with an id that a repeat of the handler makes again.

    The id is derived from the cause, the event's type and its aggregate id. A handler that publishes several events of
    one type about one aggregate must give each a `name`, or they would share an id and count as one. An aggregate that
    the handler itself makes needs an id that a repeat makes again, too: `follow_up_id(cause, "payment")`.
    """
    derived = follow_up_id(cause, event.event_type, event.aggregate_id, name)
    return msgspec.structs.replace(cause.caused(event), id=derived)


def follow_up_id(cause: BaseEvent[Any], *names: str) -> str:
    """Return an id for what `cause` leads to: the same for the same cause's id and names, another one for others.

    It is a UUIDv8 (RFC 9562): the first 16 bytes of the SHA-256 of the JSON array of the cause's id and the names, with
    version and variant put in. Where the cause's id is a UUIDv7, or such a UUIDv8, its 48 bits of milliseconds stand in
    front, so that the ids sort by the time of the first cause. No time of the cause but this is used: a repeated
    handler's events occur later than those of its first run, and their follow-ups must have the same ids all the same.
    """
    digest = sha256(msgspec.json.encode([cause.id, *map(str, names)])).digest()
    bits = int.from_bytes(digest[:16])
    if (front := _front(cause.id)) is not None:
        bits = front << _FRONT_SHIFT | bits & _BEHIND_FRONT
    return str(UUID(int=bits & ~(_VERSION | _VARIANT) | _VERSION_8 | _VARIANT_RFC))


def _front(cause_id: str) -> int | None:
    """Return the milliseconds of an id that begins with them."""
    try:
        uuid = UUID(cause_id)
    except ValueError:
        return None
    return uuid.int >> _FRONT_SHIFT if uuid.version in (7, 8) else None
