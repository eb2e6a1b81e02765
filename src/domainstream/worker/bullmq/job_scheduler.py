"""Adds the next job of a BullMQ job scheduler when one of its jobs starts.

Events do not come from schedulers, but a queue may hold both kinds of jobs. BullMQ leaves this to its workers: without
their help a scheduler's first job would be its last.
"""

from typing import Any

import msgspec
from redis.exceptions import RedisError

from domainstream.queue.bullmq.scripts import bullmq_module
from domainstream.telemetry import Signal, emit
from domainstream.worker.bullmq.connections import WorkerConnections
from domainstream.worker.bullmq.job import HeldJob


class JobSchedulerHook:
    """Adds the next jobs to one queue."""

    def __init__(self, connections: WorkerConnections, queue: str) -> None:
        """Add jobs to `queue`, through a connection of its own each time."""
        self._connections = connections
        self._queue = queue

    async def add_next(self, job: HeldJob) -> None:
        """Add the job that follows `job`, as the package's own worker does; log an error if that fails."""
        received = job.received
        try:
            bullmq: Any = bullmq_module()
            options: dict[str, Any] = msgspec.json.decode(job.raw_options)
            async with self._connections.package_client() as client:
                queue = bullmq.Queue(self._queue, {"connection": client, "prefix": self._connections.bull_prefix})
                scheduler = bullmq_module("bullmq.job_scheduler").JobScheduler(queue)
                data, repeat = msgspec.json.decode(received.data), options.get("repeat")
                await scheduler.upsertJobScheduler(
                    job.scheduler, repeat, received.name, data, options, override=False, producer_id=received.id
                )
        except (RedisError, OSError, ValueError, TypeError) as error:
            # Only the type: the message may quote the data.
            emit(
                Signal.WORKER_SCHEDULE_FAILED,
                queue=self._queue,
                job=received.id,
                scheduler=job.scheduler,
                error=type(error).__name__,
            )
