"""Jobs, the queues that take them, and what adds them in order.

This stage knows what a job is and how it is added to a queue, but not which queue subscribes to which channel. BullMQ's
names and camelCase stop in `queue.bullmq`. Before: `domainstream.stream`. Next stage: `domainstream.subscriber`.
"""

from domainstream.queue.bullmq.job_adder import BullMQJobAdder
from domainstream.queue.bullmq.queue import BullMQQueue
from domainstream.queue.job import Job, JobOrigin, RedisEvent, job_data, job_id, job_origin, order_place
from domainstream.queue.memory import MemoryJobAdder, MemoryQueue
from domainstream.queue.port import (
    ChannelEpoch,
    Fenced,
    JobAdder,
    JobQueue,
    QueueBehindError,
    Refusal,
    RoutedEntry,
    TooManyRefusalsError,
)
from domainstream.queue.settings import JobSettings

__all__ = [
    "BullMQJobAdder",
    "BullMQQueue",
    "ChannelEpoch",
    "Fenced",
    "Job",
    "JobAdder",
    "JobOrigin",
    "JobQueue",
    "JobSettings",
    "MemoryJobAdder",
    "MemoryQueue",
    "QueueBehindError",
    "RedisEvent",
    "Refusal",
    "RoutedEntry",
    "TooManyRefusalsError",
    "job_data",
    "job_id",
    "job_origin",
    "order_place",
]
