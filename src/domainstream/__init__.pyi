# The public names, for type checkers; `__init__.py` imports them when they are asked for.

from domainstream.channel import ChannelRegistry, EventPublisherChannel
from domainstream.errors import DomainStreamError, PublishCancelledError, PublishError, receipts_of
from domainstream.event import (
    BaseEvent,
    CorrelationFilter,
    EventPayload,
    UpcasterChain,
    caused_by,
    follow_up,
    follow_up_id,
)
from domainstream.producer import EventProducer, verify_mapper
from domainstream.publisher import (
    BatchLimits,
    MemoryPublisher,
    PublisherSettings,
    RedisStreamPublisherClient,
    Retention,
)
from domainstream.receipt import Outcome, Receipt
from domainstream.settings import MessageLimits, RetryPolicy

__all__ = [
    "BaseEvent",
    "BatchLimits",
    "ChannelRegistry",
    "CorrelationFilter",
    "DomainStreamError",
    "EventPayload",
    "EventProducer",
    "EventPublisherChannel",
    "MemoryPublisher",
    "MessageLimits",
    "Outcome",
    "PublishCancelledError",
    "PublishError",
    "PublisherSettings",
    "Receipt",
    "RedisStreamPublisherClient",
    "Retention",
    "RetryPolicy",
    "UpcasterChain",
    "caused_by",
    "follow_up",
    "follow_up_id",
    "receipts_of",
    "verify_mapper",
]
