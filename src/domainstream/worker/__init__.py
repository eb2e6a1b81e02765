"""The end of the arrow: handlers of events, and the worker that runs them on a queue's jobs.

Here belongs what a service writes to handle events. How jobs came into the queue must not. Before:
`domainstream.subscriber`, across BullMQ. `EventConsumer` works without the package `bullmq`; `EventWorker.from_url`
says what to type when it is missing.
"""

from domainstream.worker.consumer import EventConsumer
from domainstream.worker.context import EventContext, ReceivedJob
from domainstream.worker.error_handler import ErrorHandler
from domainstream.worker.event_worker import EventWorker
from domainstream.worker.inbox.redis import RedisInbox
from domainstream.worker.outcomes import Done, GiveUp, RetryLater
from domainstream.worker.settings import RateLimit, WorkerSettings

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
