"""Joins stream and queue: who subscribes to what, and the loop that hands events over.

Here belongs the decision which event becomes which job. How streams are read and jobs are added must not: those are
ports of the stages before. Before: `domainstream.queue`. Next stage: `domainstream.worker`, across BullMQ.
"""

from domainstream.subscriber.forwarding import SubscriberHealth
from domainstream.subscriber.handlers import create_multiple_handlers
from domainstream.subscriber.redis_bullmq_stream_subscriber import RedisBullMQStreamSubscriber
from domainstream.subscriber.router import JobRouter
from domainstream.subscriber.settings import SubscriberSettings
from domainstream.subscriber.stream_subscriber import StreamSubscriber
from domainstream.subscriber.subscriptions import QueueHandler, Subscriptions, to_queue

__all__ = [
    "JobRouter",
    "QueueHandler",
    "RedisBullMQStreamSubscriber",
    "StreamSubscriber",
    "SubscriberHealth",
    "SubscriberSettings",
    "Subscriptions",
    "create_multiple_handlers",
    "to_queue",
]
