"""Takes the jobs of one BullMQ queue, tries them side by side, and tells how it went.

::

    listener ── wakes ──▶ ledger ── turns ──▶ pumps ══▶ bullmq_turn.lua on the server
                            ▲                     │
                            └── steps ── running jobs ◀── jobs

The lock keeper, a thread, renews the locks of what the ledger holds. The engine does not know what handles a job.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from domainstream.lifecycle import cancel_and_wait
from domainstream.worker.bullmq.connections import WorkerConnections
from domainstream.worker.bullmq.job_scheduler import JobSchedulerHook
from domainstream.worker.bullmq.job_update import JobUpdates
from domainstream.worker.bullmq.lock_renewer import LockRenewer
from domainstream.worker.bullmq.marker_listener import MarkerListener
from domainstream.worker.bullmq.round_trip import RoundTripCodec
from domainstream.worker.bullmq.round_trip_loop import RoundTripLoop
from domainstream.worker.bullmq.runner import AttemptRunner, JobRunner
from domainstream.worker.bullmq.tracker import TURNS, JobTracker
from domainstream.worker.patience import LoggedBackoff
from domainstream.worker.settings import WorkerSettings

log = logging.getLogger("domainstream.worker")

SHUTDOWN_TIMEOUT: Final = 5.0
"""Seconds that a worker which ends has to tell an absent server about its last jobs."""


class BullMQEngine:
    """Works on one queue. For one event loop; `run` may be called once."""

    def __init__(
        self,
        connections: WorkerConnections,
        queue: str,
        attempt: AttemptRunner,
        *,
        concurrency: int,
        grace: timedelta,
        settings: WorkerSettings,
    ) -> None:
        """Try jobs with `attempt`, up to `concurrency` at a time; at the end let them run on for `grace`.

        Raises `MissingExtraError` without the package `bullmq`.
        """
        prefix = connections.key_prefix
        self._queue = queue
        self._grace = grace.total_seconds()
        self._tracker = JobTracker(uuid4().hex, concurrency)
        self._jobs = JobRunner(
            queue, attempt, self._tracker, JobUpdates(settings.metrics), JobSchedulerHook(connections, queue).add_next
        )
        calls = RoundTripCodec(prefix, settings)
        self._pumps = [
            RoundTripLoop(connections.link(), self._tracker, calls, self._jobs, LoggedBackoff(queue))
            for _ in range(TURNS)
        ]
        self._listener = MarkerListener(
            connections.shown_link(), self._tracker, f"{prefix}marker", LoggedBackoff(queue)
        )
        self._keeper = LockRenewer(connections.client_of_thread(), prefix, self._tracker.held, settings)

    def update_progress(self, job_id: str, value: Any) -> bool:
        """Tell BullMQ how far a running job has come, with the next turn; return whether the job is running here.

        `value` is a number or an object.
        """
        return self._jobs.update_progress(job_id, value)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set; then finish what has begun. A cancellation leaves that undone."""
        self._keeper.start(self._jobs.lost)
        pumps = [asyncio.create_task(pump.run(), name=f"turns of {self._queue}") for pump in self._pumps]
        listener = asyncio.create_task(self._listener.run(), name=f"listener of {self._queue}")
        try:
            await _until(stopping, [*pumps, listener])
            self._tracker.close()
            await cancel_and_wait(listener)
            await self._finish(pumps)
        finally:
            await cancel_and_wait(listener, *pumps)
            await self._jobs.cancel()
            await self._keeper.stop()

    async def _finish(self, pumps: Iterable[asyncio.Task[None]]) -> None:
        await self._jobs.finish(self._grace)
        _, late = await asyncio.wait(pumps, timeout=SHUTDOWN_TIMEOUT)
        if late:
            ids = sorted(job.received.id for job in self._tracker.held.values())
            log.error("queue %s: the server could not be told of jobs %s; they come again", self._queue, ids)


async def _until(stopping: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait until `stopping` is set; raise what a task raises before."""
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_and_wait(stop)
    for task in tasks:
        if task.done():
            task.result()
