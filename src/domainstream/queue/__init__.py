"""BullMQ at arm's length: jobs, and queues that take them. BullMQ's names and camelCase stop here.

Here belongs what a job is and how it gets into a queue. Streams and who subscribes to what must not. Before:
`domainstream.stream`. Next stage: `domainstream.subscriber`.
"""

from domainstream.queue.bullmq_queue import BullMQQueue
from domainstream.queue.job import Job, JobOrigin, RedisEvent, job_data, job_id, job_origin
from domainstream.queue.job_settings import JobSettings
from domainstream.queue.memory_queue import MemoryQueue
from domainstream.queue.port import JobQueue

__all__ = [
    "BullMQQueue",
    "Job",
    "JobOrigin",
    "JobQueue",
    "JobSettings",
    "MemoryQueue",
    "RedisEvent",
    "job_data",
    "job_id",
    "job_origin",
]
