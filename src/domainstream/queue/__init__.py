"""BullMQ at arm's length: jobs, queues that take them, and the step that moves events from stream to queue.

Here belongs what a job is and how it gets into a queue. Who subscribes to what must not. BullMQ's names and camelCase
stop here. Before: `domainstream.stream`. Next stage: `domainstream.subscriber`.
"""

from domainstream.queue.bullmq.forwarder import BullMQForwarder
from domainstream.queue.bullmq.queue import BullMQQueue
from domainstream.queue.job import Job, JobOrigin, RedisEvent, job_data, job_id, job_origin
from domainstream.queue.memory import MemoryQueue
from domainstream.queue.port import Forwarder, JobQueue
from domainstream.queue.routed_entry import RoutedEntry
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
