"""BullMQ at arm's length: jobs, queues that take them, and the step that moves events from stream to queue.

Here belongs what a job is and how it gets into a queue. Who subscribes to what must not. BullMQ's names and camelCase
stop here. Before: `domainstream.stream`. Next stage: `domainstream.subscriber`.
"""

from domainstream.queue.bullmq_hand_over import BullMQHandOver
from domainstream.queue.bullmq_queue import BullMQQueue
from domainstream.queue.job import Job, JobOrigin, RedisEvent, job_data, job_id, job_origin
from domainstream.queue.job_settings import JobSettings
from domainstream.queue.memory_queue import MemoryQueue
from domainstream.queue.parcel import Parcel
from domainstream.queue.port import HandOver, JobQueue
from domainstream.queue.stepwise_hand_over import StepwiseHandOver

__all__ = [
    "BullMQHandOver",
    "BullMQQueue",
    "HandOver",
    "Job",
    "JobOrigin",
    "JobQueue",
    "JobSettings",
    "MemoryQueue",
    "Parcel",
    "RedisEvent",
    "StepwiseHandOver",
    "job_data",
    "job_id",
    "job_origin",
]
