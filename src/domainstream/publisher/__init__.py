"""Into Redis: the publisher client, what makes it fast and what makes it sure.

Only the files named `redis_*` speak to Redis. What reads streams does not belong here.

Before: `domainstream.producer`. Next stage: `domainstream.stream`.
"""

from domainstream.publisher.memory import MemoryPublisher
from domainstream.publisher.redis_stream_publisher_client import RedisStreamPublisherClient
from domainstream.publisher.retention import Retention
from domainstream.publisher.settings import BatchLimits, PublisherSettings

__all__ = ["BatchLimits", "MemoryPublisher", "PublisherSettings", "RedisStreamPublisherClient", "Retention"]
