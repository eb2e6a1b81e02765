"""Runs the attempts at fetched jobs, and reports how they end; keeps BullMQ's job schedulers going.

Whatever a handler does, its attempt is a task, and each task ends in `JobRunner._on_end` or is abandoned. There is no
other way, so no job keeps its place and its lock without a handler.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from redis.exceptions import RedisError

from domainstream.queue.bullmq.scripts import bullmq_module
from domainstream.redis.errors import ErrorKind, NoReplyError, kind_of
from domainstream.retrying import LoggedBackoff
from domainstream.telemetry import Signal, emit
from domainstream.worker.abandoned import abandon_handler, end_handlers
from domainstream.worker.attempt import next_pause
from domainstream.worker.bullmq.job import HeldJob, hand_back_update, outcome_update, progress_update
from domainstream.worker.bullmq.tracker import JobTracker
from domainstream.worker.context import ReceivedJob
from domainstream.worker.failures import UNKNOWN, reason_of, report_failed_job, stack_of
from domainstream.worker.outcomes import AttemptResult, Completed, Delayed, Failed, Waiting

RunAttempt = Callable[[ReceivedJob], Awaitable[AttemptResult]]
AddNext = Callable[[HeldJob], Coroutine[Any, Any, None]]

SERVER_FAILURES: Final = (RedisError, OSError, NoReplyError)
"""What is raised when a command failed."""


class JobRunner:
    """Runs each job in a task of its own."""

    def __init__(
        self,
        queue: str,
        run_attempt: RunAttempt,
        tracker: JobTracker,
        add_next: AddNext,
        metrics: int | None,
        bull_prefix: str,
    ) -> None:
        """Run the jobs of `queue` with `run_attempt`, which returns the result.

        `add_next` is awaited for the jobs of a job scheduler, beside their attempts and before their outcomes are
        reported; `metrics` is explained at `outcome_update`; `bull_prefix` begins all keys of BullMQ.
        """
        self.completed = 0
        """Jobs reported as completed."""
        self.delayed = 0
        """Attempts reported as delayed."""
        self.waited = 0
        """Jobs reported as waiting for a build that handles them, each time."""
        self.failed = 0
        """Attempts reported as failed, and jobs that failed without one."""
        self.last_failure = ""
        """The name and the id of the job whose attempt failed last; empty before the first."""
        self.failed_at = 0.0
        """When that was, on the monotonic clock; 0 before the first."""
        self._queue = queue
        self._run_attempt = run_attempt
        self._tracker = tracker
        self._add_next = add_next
        self._metrics = metrics
        self._bull_prefix = bull_prefix
        self._attempts: dict[asyncio.Task[AttemptResult], HeldJob] = {}

    @property
    def running(self) -> int:
        """Attempts that are running now."""
        return len(self._attempts)

    def start(self, job: HeldJob) -> None:
        """Start a job that was fetched; hand it back when the worker fetches no more."""
        if self._tracker.closed:
            self._tracker.report(hand_back_update(job))
        elif job.deferred_failure is not None:
            self.fail(job, job.deferred_failure or "BullMQ gave no reason")
        else:
            task = asyncio.create_task(self._run(job), name=job.received.name)
            self._attempts[task] = job
            task.add_done_callback(self._on_end)

    def fail(self, job: HeldJob, reason: str, stack: str = "") -> None:
        """Report that a job failed for a `reason` that lies outside of its handler."""
        report_failed_job(
            self._queue,
            job.received,
            bull_prefix=self._bull_prefix,
            event=UNKNOWN,
            error=UNKNOWN,
            where=UNKNOWN,
            reason=reason,
        )
        self._report(job, Failed(reason, stack or reason))

    def lock_lost(self, job: HeldJob) -> None:
        """Log that a job lost its lock while its handler runs. The handler goes on: what it began is half done."""
        if not (job.ended or job.lock_lost):
            job.lock_lost = True
            emit(Signal.WORKER_LOCK_LOST, queue=self._queue, job=job.received.id, name=job.received.name)

    def update_progress(self, job_id: str, value: Any) -> bool:
        """Report how far a job is; return whether it is running here."""
        for job in self._tracker.held.values():
            if job.received.id == job_id:
                self._tracker.report(progress_update(job, value))
                return True
        return False

    async def finish(self, grace: float, limit: float | None) -> None:
        """Let attempts run on for `grace` seconds; then cancel them, and hand their jobs back.

        An attempt that has not ended `limit` seconds after it was cancelled, by default `CANCELLATION_LIMIT`, is
        abandoned.
        """
        if self._attempts and grace:
            await asyncio.wait(self._attempts, timeout=grace)
        late = [task for task in self._attempts if not task.done()]
        if late:
            names = Counter(task.get_name() for task in late)
            handlers = ", ".join(f"{name} ({count})" for name, count in names.items())
            emit(Signal.WORKER_HANDLERS_LATE, queue=self._queue, handlers=handlers)
        for task in await end_handlers(*late, limit=limit):
            job = self._attempts.pop(task)
            self._tracker.report(hand_back_update(job))
            abandon_handler(task, job.received.id)

    async def _run(self, job: HeldJob) -> AttemptResult:
        received = job.received

        async def report_progress(value: Any) -> None:
            self.update_progress(received.id, value)

        # A copy carries the function, and the function knows only the id: the garbage collector does not track
        # `HeldJob`s (gc=False), so one that led back to itself, also through this runner, would never be freed.
        attempt = self._run_attempt(replace(received, progress=report_progress))
        if job.scheduler is None:
            return await attempt
        addition = asyncio.create_task(self._add_next(job))
        try:
            return await attempt
        finally:
            # Until then the job stays locked: if this worker dies, the one that gets the job adds the next one.
            await addition

    def _on_end(self, task: asyncio.Task[AttemptResult]) -> None:
        job = self._attempts.pop(task, None)
        if job is None:  # abandoned: its job has been handed back
            return
        if task.cancelled() and self._tracker.closed:
            self._tracker.report(hand_back_update(job))
            return
        if task.cancelled():
            reason = "HandlerCancelledError: the handler cancelled the task in which it runs"
            self._failed_outside(job, reason, reason)
        elif (error := task.exception()) is None:
            try:
                self._report(job, task.result())
            except Exception as failure:  # noqa: BLE001 - a bug of ours; the job must not stay locked for it
                emit(Signal.WORKER_RUN_FAILED, queue=self._queue, job=job.received.id, exc=failure)
                self._failed_outside(job, reason_of(failure), stack_of(failure))
        else:
            if not isinstance(error, KeyboardInterrupt | SystemExit):  # these two end the process as well
                emit(Signal.WORKER_RUN_FAILED, queue=self._queue, job=job.received.id, exc=error)
            self._failed_outside(job, reason_of(error), stack_of(error))

    def _failed_outside(self, job: HeldJob, reason: str, stack: str) -> None:
        """Report a failure that `run_attempt` did not turn into a result; the job is retried as after any other."""
        pause = next_pause(job.received)
        if pause is None:
            self.fail(job, reason, stack)
        else:
            self._report(job, Failed(reason, stack, pause))

    def _report(self, job: HeldJob, result: AttemptResult) -> None:
        self._tracker.report(outcome_update(job, result, self._metrics))
        if isinstance(result, Completed):
            self.completed += 1
        elif isinstance(result, Delayed):
            self.delayed += 1
        elif isinstance(result, Waiting):
            self.waited += 1
        else:
            self.failed += 1
            self.failed_at = time.monotonic()
            self.last_failure = f"{job.received.name} ({job.received.id})"


async def add_next_job(
    queue_name: str, open_queue: Callable[[], AbstractAsyncContextManager[Any]], job: HeldJob
) -> None:
    """Add the job that follows `job` in its job scheduler, as BullMQ's own worker does; log an error if that fails.

    Events do not come from schedulers, but a queue may hold both kinds of jobs. BullMQ leaves this to its workers:
    without their help a scheduler's first job would be its last. The call is repeated while the server does not answer,
    or moves the queue to another node: BullMQ adds a job's successor once, however often it is asked to. `open_queue`
    opens the queue of the package `bullmq`.
    """
    received = job.received

    def retried(pause: float, error: Exception) -> None:
        emit(Signal.WORKER_RETRIED, queue=queue_name, pause_s=round(pause, 2), reason=type(error).__name__)

    backoff = LoggedBackoff(retried)
    while True:
        try:
            options: dict[str, Any] = msgspec.json.decode(job.raw_options)
            async with open_queue() as queue:
                scheduler = bullmq_module("bullmq.job_scheduler").JobScheduler(queue)
                data, repeat = msgspec.json.decode(received.data), options.get("repeat")
                await scheduler.upsertJobScheduler(
                    job.scheduler, repeat, received.name, data, options, override=False, producer_id=received.id
                )
        except Exception as error:  # noqa: BLE001 - the package raises plain `Exception`s too; the job itself goes on
            if isinstance(error, SERVER_FAILURES) and kind_of(error) is not ErrorKind.FINAL:
                await backoff.pause(error)
                continue
            # Only the type: the message may quote the data.
            emit(
                Signal.WORKER_SCHEDULE_FAILED,
                queue=queue_name,
                job=received.id,
                scheduler=job.scheduler,
                error=type(error).__name__,
            )
        return
