"""Jobs, the queues that take them, and forwarders, which move events from streams to queues.

This stage knows what a job is and how it is added to a queue, but not which queue subscribes to which channel. BullMQ's
names and camelCase stop in `queue.bullmq`. Before: `domainstream.stream`. Next stage: `domainstream.subscriber`.
"""

from domainstream.queue.bullmq.forwarder import BullMQForwarder
from domainstream.queue.bullmq.queue import BullMQQueue
from domainstream.queue.job import Job, JobOrigin, RedisEvent, job_data, job_id, job_origin
from domainstream.queue.memory import MemoryQueue
from domainstream.queue.port import Forwarder, JobQueue, RoutedEntry
from domainstream.queue.settings import JobSettings
from domainstream.queue.two_step import TwoStepForwarder

__all__ = [
    "BullMQForwarder",
    "BullMQQueue",
    "Forwarder",
    "Job",
    "JobOrigin",
    "JobQueue",
    "JobSettings",
    "MemoryQueue",
    "RedisEvent",
    "RoutedEntry",
    "TwoStepForwarder",
    "job_data",
    "job_id",
    "job_origin",
]
