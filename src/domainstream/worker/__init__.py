"""The end of the arrow: handlers of events, and the worker that runs them on a queue's jobs.

Here belongs what a service writes to handle events. How jobs came into the queue must not. Before:
`domainstream.subscriber`, across BullMQ. `EventConsumer` works without the package `bullmq`; `EventWorker.from_url`
says what to type when it is missing.
"""

from domainstream.worker.bullmq_event_worker import EventWorker
from domainstream.worker.error_handler import ErrorHandler
from domainstream.worker.event_consumer import EventConsumer
from domainstream.worker.event_context import EventContext, ReceivedJob
from domainstream.worker.outcomes import Done, GiveUp, RetryLater
from domainstream.worker.redis_inbox import RedisInbox
from domainstream.worker.worker_settings import RateLimit, WorkerSettings

__all__ = [
    "Done",
    "ErrorHandler",
    "EventConsumer",
    "EventContext",
    "EventWorker",
    "GiveUp",
    "RateLimit",
    "ReceivedJob",
    "RedisInbox",
    "RetryLater",
    "WorkerSettings",
]
