"""The last stage of the arrow: handlers of events, and the worker that runs them on a queue's jobs.

Before: `domainstream.subscriber`, whose jobs come through BullMQ. `EventConsumer` works without the package `bullmq`;
`EventWorker.from_url` says how to install it when it is missing.
"""

from domainstream.worker.bullmq.engine import WorkerStats
from domainstream.worker.consumer import EventConsumer
from domainstream.worker.context import EventContext, ReceivedJob
from domainstream.worker.event_worker import EventWorker
from domainstream.worker.inbox.redis import RedisInbox
from domainstream.worker.outcomes import Done, ErrorHandler, GiveUp, RetryLater
from domainstream.worker.prepared_call import Middleware, Next, PreparedCall
from domainstream.worker.settings import RateLimit, WorkerSettings
from domainstream.worker.waiting import Wait

__all__ = [
    "Done",
    "ErrorHandler",
    "EventConsumer",
    "EventContext",
    "EventWorker",
    "GiveUp",
    "Middleware",
    "Next",
    "PreparedCall",
    "RateLimit",
    "ReceivedJob",
    "RedisInbox",
    "RetryLater",
    "Wait",
    "WorkerSettings",
    "WorkerStats",
]
