"""What happened: events, their envelope and their JSON. Pure: no clock but the event's own, no I/O, no Redis.

Next stage: `domainstream.channel`.
"""

from domainstream.event.base_event import BaseEvent, EventPayload
from domainstream.event.codec import EventDecoder, EventEncoder, read_message
from domainstream.event.correlation import CorrelationFilter, correlation_scope
from domainstream.event.follow_ups import caused_by, follow_up, follow_up_id
from domainstream.event.message import EventMessage
from domainstream.event.upcasting import UpcasterChain

__all__ = [
    "BaseEvent",
    "CorrelationFilter",
    "EventDecoder",
    "EventEncoder",
    "EventMessage",
    "EventPayload",
    "UpcasterChain",
    "caused_by",
    "correlation_scope",
    "follow_up",
    "follow_up_id",
    "read_message",
]
