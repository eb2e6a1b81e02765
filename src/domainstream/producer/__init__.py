"""Producers: map each domain event to its channel, encode it and pass it to a publisher.

This stage knows nothing of Redis: a producer uses the port `EventPublisher`.

Before: `domainstream.channel`. Next stage: `domainstream.publisher`.
"""

from domainstream.health import Health
from domainstream.producer.event_producer import EventProducer
from domainstream.producer.mapper import verify_mapper
from domainstream.producer.port import EventPublisher, OutgoingMessage

__all__ = ["EventProducer", "EventPublisher", "Health", "OutgoingMessage", "verify_mapper"]
