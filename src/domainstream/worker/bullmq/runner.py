"""The attempts that run just now: begun, ended, cancelled."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from msgspec.structs import replace

from domainstream.lifecycle import cancel_and_wait
from domainstream.worker.attempt_result import AttemptResult, Failed
from domainstream.worker.bullmq.answers import follow_up
from domainstream.worker.bullmq.job import HeldJob
from domainstream.worker.bullmq.job_update import JobUpdate, JobUpdates
from domainstream.worker.bullmq.tracker import JobTracker
from domainstream.worker.context import ReceivedJob

log = logging.getLogger("domainstream.worker")

AttemptRunner = Callable[[ReceivedJob], Awaitable[AttemptResult]]
Repeat = Callable[[HeldJob], Coroutine[Any, Any, None]]


class JobRunner:
    """Runs one task for each job, and notes in the ledger how it ended."""

    def __init__(
        self,
        queue: str,
        attempt: AttemptRunner,
        tracker: JobTracker,
        updates: JobUpdates,
        repeat: Repeat,
    ) -> None:
        """Try the jobs of `queue` with `attempt`, which returns how it went and raises nothing.

        `repeat` is awaited for jobs of a scheduler, beside their attempts.
        """
        self._queue = queue
        self._attempt = attempt
        self._tracker = tracker
        self._updates = updates
        self._repeat = repeat
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, job: HeldJob) -> None:
        """Try a job that was taken; give it back unhandled when the worker takes no more."""
        if self._tracker.closed:
            self._tracker.tell(self._updates.hand_back(job))
        elif job.deferred_failure is not None:
            log.warning(
                "queue %s: job %s (%s) fails: %s", self._queue, job.received.id, job.received.name, job.deferred_failure
            )
            self._tracker.tell(self._updates.after(job, Failed(job.deferred_failure, job.deferred_failure)))
        else:
            self._run(self._work(job))
            if job.scheduler is not None:
                self._run(self._repeat(job))

    def refused(self, update: JobUpdate, answer: int | bytes) -> None:
        """Take note that the server did not do a step as it was told."""
        instead = follow_up(update, answer, self._queue)
        if instead is not None:
            self._tracker.held[update.job.token] = update.job
            self._tracker.tell(self._updates.after(update.job, instead))

    def not_taken(self, why: str) -> None:
        """Take note that the server could not give a job."""
        log.error("queue %s: a job could not be taken: %s; look at its active jobs", self._queue, why)

    def lost(self, job: HeldJob) -> None:
        """Take note that a job lost its lock while its handler runs, which goes on: what it began is half done."""
        if job.token in self._tracker.held and not job.lost:
            job.lost = True
            who = (self._queue, job.received.id, job.received.name)
            log.warning("queue %s: job %s (%s) has lost its lock: it may run twice, and this outcome is refused", *who)

    def update_progress(self, job_id: str, value: Any) -> bool:
        """Tell BullMQ how far a job has come; return whether it is running here."""
        for job in self._tracker.held.values():
            if job.received.id == job_id:
                self._tracker.tell(self._updates.progress(job, value))
                return True
        return False

    async def finish(self, grace: float) -> None:
        """Let attempts run on for `grace` seconds; then cancel them, and hand their jobs back."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace)
        if late:
            log.warning("queue %s: %d handlers did not finish in time; their jobs come again", self._queue, len(late))
        await cancel_and_wait(*late, again=1)

    async def cancel(self) -> None:
        """Cancel all attempts."""
        await cancel_and_wait(*self._tasks)

    async def _report(self, job_id: str, value: Any) -> None:
        # By id: a job that led to itself would never be collected.
        self.update_progress(job_id, value)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, job: HeldJob) -> None:
        try:
            result = await self._attempt(replace(job.received, progress=partial(self._report, job.received.id)))
        except asyncio.CancelledError:
            self._tracker.tell(self._updates.hand_back(job))
            raise
        except Exception as error:
            # Only a mistake of ours leads here; the job must not stay locked for it.
            log.exception("queue %s: job %s could not be tried", self._queue, job.received.id)
            result = Failed(f"{type(error).__name__}: {error}", traceback.format_exc())
        self._tracker.tell(self._updates.after(job, result))
