"""Events that a handler publishes about the event it handles.

A handler runs at least once. The id of what it publishes is derived from what it handles, so a second run publishes the
same ids as the first; and since a job's id comes from its event's, nothing is handled twice behind the next queue.
"""

from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from domainstream import BaseEvent

EventT = TypeVar("EventT", bound=BaseEvent[Any])

_LOW_BITS = (1 << 62) - 1
_VERSION_7 = 7 << 76
_VARIANT = 0b10 << 62


def follow_up(cause: BaseEvent[Any], event: EventT) -> EventT:
    """Return `event` as led to by `cause`, with an id that a repeat of the handler makes again."""
    return msgspec.structs.replace(cause.caused(event), id=_derived_id(cause.id, event.event_type))


def _derived_id(cause_id: str, event_type: str) -> str:
    """Return a UUIDv7 of the cause's millisecond whose other bits are a hash in place of chance."""
    bits = int.from_bytes(sha256(f"{cause_id} {event_type}".encode()).digest()) >> (256 - 74)
    millisecond = UUID(cause_id).int >> 80 << 80
    return str(UUID(int=millisecond | _VERSION_7 | bits >> 62 << 64 | _VARIANT | bits & _LOW_BITS))
