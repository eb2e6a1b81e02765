"""Lets jobs of BullMQ's job schedulers come again.

Events are no such jobs, but a queue may hold both; without its worker's help a scheduler's first job would be its last.
"""

import logging
from typing import Any

import msgspec
from redis.exceptions import RedisError

from domainstream.queue.bullmq.package import bullmq_module
from domainstream.worker.bullmq.connections import WorkerConnections
from domainstream.worker.bullmq.job import HeldJob

log = logging.getLogger("domainstream.worker")


class JobSchedulerHook:
    """Adds the next job of a scheduler."""

    def __init__(self, connections: WorkerConnections, queue: str) -> None:
        """Work on one queue."""
        self._connections = connections
        self._queue = queue

    async def add_next(self, job: HeldJob) -> None:
        """Add the job that follows on `job`, as the package's own worker does; log an error when it cannot be added."""
        try:
            await self._upsert(job)
        except (RedisError, OSError, ValueError, TypeError) as error:
            who = (self._queue, job.received.id, job.scheduler, type(error).__name__)
            log.error("queue %s: the job after %s of scheduler %s was not added: %s; upsert the scheduler again", *who)  # noqa: TRY400 - it may quote the data

    async def _upsert(self, job: HeldJob) -> None:
        bullmq: Any = bullmq_module()
        options: dict[str, Any] = msgspec.json.decode(job.raw_options)
        async with self._connections.client_of_package() as client:
            queue = bullmq.Queue(self._queue, {"connection": client, "prefix": self._connections.bull_prefix})
            scheduler = bullmq_module("bullmq.job_scheduler").JobScheduler(queue)
            data = msgspec.json.decode(job.received.data)
            repeat, name = options.get("repeat"), job.received.name
            await scheduler.upsertJobScheduler(
                job.scheduler, repeat, name, data, options, override=False, producer_id=job.received.id
            )
