"""Takes jobs from a BullMQ queue and settles them. Used by `bullmq_event_worker`; BullMQ's camelCase stops here.

The package's `Worker` does the steps that need its scripts: take, finish, fail, delay, renew locks, find stalled
jobs. Its main loop is not used: it stops renewing locks while handlers still run at close, ends when a handler is
cancelled, and loses jobs that are being fetched at that moment.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from domainstream.errors import EventDecodingError, HandlerCancelledError, HandlerNotFoundError
from domainstream.lifecycle import cancel_and_wait
from domainstream.queue.bullmq_package import bullmq_module
from domainstream.stream.redis_connection import connect, our_errors
from domainstream.worker.event_context import ReceivedJob
from domainstream.worker.failed_attempt import failure_text
from domainstream.worker.handlers import Handling, name_of
from domainstream.worker.outcomes import GiveUp, RetryLater

log = logging.getLogger("domainstream.worker")

REPLY_TIMEOUT: Final = timedelta(seconds=30)
"""Far above the longest wait for a job: an idle worker whose wait runs into this goes deaf for many seconds."""

LONGEST_WAIT: Final = 5.0
SHORTEST_WAIT: Final = 0.001
STALLED_INTERVAL: Final = 30.0

# Finishing a job twice does no harm, so these commands may be repeated; a job whose outcome is lost runs again.
_RETRIES: Final = 4
_RETRY_PAUSES: Final = ExponentialBackoff(cap=1, base=0.05)

Prepare = Callable[[ReceivedJob], Handling]


class BullMQJobs:
    """The jobs of one queue, taken one at a time and settled side by side.

    For one event loop. `take` and `wait` must not overlap themselves or each other; `process` may run any number of
    times at once.
    """

    def __init__(self, client: Redis, queue: str, prepare: Prepare, *, bull_prefix: str = "bull") -> None:
        """Take jobs of `queue` through `client`, which is then owned; `prepare` turns a job into what is to be done.

        Raises `MissingExtraError` without the package `bullmq`.
        """
        self._bullmq = bullmq_module(what="Handling jobs of BullMQ queues")
        self._prepare = prepare
        self._client = client
        self._queue = queue
        self._taken = 0
        self._stalled_check: asyncio.Task[None] | None = None
        options = {"connection": client, "prefix": bull_prefix, "autorun": False}
        self._worker = self._bullmq.Worker(queue, self._answer, options)
        self._worker.on("error", self._log_error)

    @classmethod
    def from_url(cls, url: str, queue: str, prepare: Prepare, *, bull_prefix: str = "bull") -> Self:
        """Return the jobs of a queue, through connections of their own; `bull_prefix` begins every key of BullMQ."""
        client = connect(
            url,
            reply_timeout=REPLY_TIMEOUT,
            retry=Retry(_RETRY_PAUSES, _RETRIES),
            # BullMQ reads texts; bytes would come to handlers as empty data.
            decode_responses=True,
            # Data that is no UTF-8 must fail its own job, not the command that takes it.
            encoding_errors="surrogateescape",
            # By this name BullMQ's tools count the workers of a queue.
            client_name=f"{bull_prefix}:{queue}",
        )
        return cls(client, queue, prepare, bull_prefix=bull_prefix)

    def start(self) -> None:
        """Begin to renew the locks of taken jobs and to look for jobs of workers that have died."""
        self._worker.lockManager.start()
        self._stalled_check = asyncio.create_task(self._check_stalled(), name=f"stalled jobs of {self._queue}")

    async def take(self) -> Any | None:
        """Return the next job, locked for this worker, or None when none is ready. Raises `ServerError`.

        A call that is cancelled or fails may leave a job locked; it comes again after its lock has ended (30 s).
        """
        self._taken += 1
        token = f"{self._worker.id}:{self._taken}"
        with our_errors(self._client):
            raw, job_id, limit_until, delay_until = await self._worker.backend.moveToActive(token, self._worker.opts)
        return await self._job(raw, job_id, limit_until or 0, delay_until or 0, token)

    async def wait(self) -> None:
        """Return when a job may be ready, after 5 s at the latest. Raises `ServerError`. May be cancelled."""
        due = self._worker.blockUntil
        seconds = due / 1000 - time.time() if due else LONGEST_WAIT
        with our_errors(self._client):
            await self._worker.backend.waitForJob(min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT))

    async def process(self, job: Any) -> None:
        """Do what a taken job asks for and tell BullMQ how it went; its outcome is logged if it could not be told."""
        await self._worker.processJob(job, job.token)

    async def close(self) -> None:
        """Stop renewing locks, which every taken job must have been given back for, and close the connections."""
        if self._stalled_check is not None:
            await cancel_and_wait(self._stalled_check)
        await self._worker.lockManager.close()
        await self._client.aclose()

    async def _job(self, raw: Any, job_id: Any, limit_until: int, delay_until: int, token: str) -> Any | None:
        """Build BullMQ's job with its data as text.

        BullMQ would parse the data, which changes numbers, and would drop a job whose data is not JSON without ever
        failing it.
        """
        text = raw["data"] if raw else ""
        if raw and "rjk" not in raw:
            # A repeated job ("rjk") keeps its data: BullMQ copies it to the next repetition.
            raw = {**raw, "data": "null"}
        job = await self._worker.nextJobFromJobData(raw, job_id, limit_until, delay_until, token)
        if job is not None:
            job.data = text
        return job

    async def _answer(self, job: Any, token: str) -> None:
        """Handle one job; BullMQ calls this, and takes a return as completed and an exception as failed."""
        try:
            await self._handle(job)
        except RetryLater as later:
            due = time.time() + later.delay.total_seconds()
            await job.moveToDelayed(round(due * 1000), token)
            raise self._bullmq.DelayedError from None
        except GiveUp as given_up:
            raise self._bullmq.UnrecoverableError(given_up.reason) from given_up

    async def _handle(self, job: Any) -> None:
        received = ReceivedJob(str(job.id), str(job.name), job.attemptsMade + 1, job.data)
        try:
            work = self._prepare(received)
        except (EventDecodingError, HandlerNotFoundError) as error:
            self._log(job, "fails for good: %s: %s", type(error).__name__, error)
            raise self._bullmq.UnrecoverableError(f"{type(error).__name__}: {error}") from error
        await self._work(job, received.attempt, work)

    async def _work(self, job: Any, attempt: int, work: Handling) -> None:
        try:
            await work()
        except RetryLater:
            raise
        except GiveUp:
            self._log(
                job, "%s gave up %s in attempt %d; failed for good", name_of(work.handler), work.event_name, attempt
            )
            raise
        except asyncio.CancelledError as error:
            if _being_cancelled():
                raise
            # Something inside the handler was cancelled, not the worker: that is a failure like any other.
            self._log(job, "%s", failure_text(error, work, attempt, job.opts))
            raise HandlerCancelledError(f"the handler of job {job.id} was cancelled from inside") from None
        except Exception as error:
            self._log(job, "%s", failure_text(error, work, attempt, job.opts))
            raise

    def _log(self, job: Any, text: str, *values: object) -> None:
        log.warning(f"queue %s: job %s (%s): {text}", self._queue, job.id, job.name, *values)  # noqa: G004 - a constant

    async def _check_stalled(self) -> None:
        while True:
            await self._worker.runStalledJobsCheck()
            await asyncio.sleep(STALLED_INTERVAL)

    def _log_error(self, error: Exception, *_: object) -> None:
        log.warning("queue %s: %s: %s", self._queue, type(error).__name__, error)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
