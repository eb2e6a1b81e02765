"""domainstream: domain events for Python services on Redis Streams, delivered to BullMQ queues.

::

    event ─▶ channel ─▶ producer ─▶ publisher ═▶ stream ═▶ subscriber ═▶ queue ─▶ worker ─▶ handler
             (mapper; None = stays)               (Redis)                 (BullMQ)

Each stage is a package of that name; what a publishing service needs stands here. The consuming half is in
`domainstream.subscriber` and `domainstream.worker`, what both halves share about a process in `domainstream.config`.
"""

from domainstream.channel import ChannelRegistry, EventPublisherChannel
from domainstream.config import MessageLimits, RetryPolicy
from domainstream.errors import DomainStreamError, PublishCancelledError, PublishError
from domainstream.event import BaseEvent, EventPayload, UpcasterChain
from domainstream.producer import EventProducer, verify_mapper
from domainstream.publisher import (
    BatchLimits,
    MemoryPublisher,
    PublisherSettings,
    RedisStreamPublisherClient,
    Retention,
)
from domainstream.receipt import Outcome, Receipt

__all__ = [
    "BaseEvent",
    "BatchLimits",
    "ChannelRegistry",
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
    "verify_mapper",
]
