"""Domain events, their envelope and their JSON.

This stage does no I/O and knows nothing of Redis.

Next stage: `domainstream.channel`.
"""

from domainstream.event.base_event import BaseEvent, EventPayload
from domainstream.event.codec import EventDecoder, EventEncoder, read_message
from domainstream.event.correlation import CorrelationFilter, caused_by, correlation_scope, follow_up, follow_up_id
from domainstream.event.message import EventMessage
from domainstream.event.sensitive import SENSITIVE
from domainstream.event.upcasting import UpcasterChain

__all__ = [
    "SENSITIVE",
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
