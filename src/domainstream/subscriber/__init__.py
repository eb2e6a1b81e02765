"""Joins streams and queues: which queue subscribes to which channel, and the loop that forwards events.

This stage decides which event becomes which jobs. How streams are read and jobs are added is behind the ports of the
stages before. Before: `domainstream.queue`. Next stage: `domainstream.worker`, across BullMQ.
"""

from domainstream.subscriber.progress import SubscriberStats
from domainstream.subscriber.redis_bullmq_stream_subscriber import RedisBullMQStreamSubscriber, SubscriberSettings
from domainstream.subscriber.router import JobRouter
from domainstream.subscriber.stream_subscriber import StreamSubscriber
from domainstream.subscriber.subscriptions import (
    AGGREGATE,
    PARTITION_KEY,
    QueueHandler,
    Subscriptions,
    create_multiple_handlers,
    to_queue,
)

__all__ = [
    "AGGREGATE",
    "PARTITION_KEY",
    "JobRouter",
    "QueueHandler",
    "RedisBullMQStreamSubscriber",
    "StreamSubscriber",
    "SubscriberSettings",
    "SubscriberStats",
    "Subscriptions",
    "create_multiple_handlers",
    "to_queue",
]
