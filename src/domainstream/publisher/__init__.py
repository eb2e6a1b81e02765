"""Into Redis: the publisher client, its batches, their retries and the retention of streams.

What reads streams does not belong here.

Before: `domainstream.producer`. Next stage: `domainstream.outbox`.
"""

from domainstream.publisher.memory import MemoryPublisher
from domainstream.publisher.redis_batch_publisher import BatchIdentity, RedisBatchPublisher
from domainstream.publisher.redis_stream_publisher_client import PublisherStats, RedisStreamPublisherClient
from domainstream.publisher.retention import Retention
from domainstream.publisher.settings import BatchLimits, PublisherSettings

__all__ = [
    "BatchIdentity",
    "BatchLimits",
    "MemoryPublisher",
    "PublisherSettings",
    "PublisherStats",
    "RedisBatchPublisher",
    "RedisStreamPublisherClient",
    "Retention",
]
