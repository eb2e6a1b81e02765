"""One attempt at a job, from what was received to how it ended and when the next one follows."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from domainstream.errors import DomainStreamError, HandlerCancelledError
from domainstream.event import correlation_scope
from domainstream.telemetry import OpenSpan, Signal, emit
from domainstream.worker.attempt_spans import AttemptSpans
from domainstream.worker.consumer import EventConsumer
from domainstream.worker.context import ReceivedJob
from domainstream.worker.failures import (
    BEFORE_HANDLER,
    DEFAULT_BULL_PREFIX,
    STORED,
    UNKNOWN,
    given_reason,
    place_of,
    reason_of,
    report_failed_job,
    sole_error,
    stack_of,
)
from domainstream.worker.outcomes import (
    LONGEST,
    AttemptResult,
    Completed,
    Delayed,
    Done,
    Failed,
    GiveUp,
    HandlerOutcome,
    RetryLater,
    Waiting,
    instance_of,
    is_outcome,
)
from domainstream.worker.prepared_call import PreparedCall
from domainstream.worker.waiting import Wait, WaitReporter, is_unhandled, next_wait

_FALLBACK_BACKOFF: Final[Mapping[str, Any]] = {"type": "exponential", "delay": 1000, "jitter": 0.5}
"""The backoff for custom strategies, which are code of the program that added the job."""

_LONGEST_MS: Final = LONGEST / timedelta(milliseconds=1)


class AttemptRunner:
    """Runs attempts at jobs with the handlers of one consumer; `await runner(job)` returns how the attempt ended.

    For many tasks concurrently. Each attempt needs a task of its own, because time limits and cancellations act on it.
    """

    def __init__(
        self,
        consumer: EventConsumer,
        clock: Callable[[], float] = time.time,
        *,
        bull_prefix: str = DEFAULT_BULL_PREFIX,
        spans: AttemptSpans | None = None,
    ) -> None:
        """Use the handlers of `consumer`; `clock` returns a POSIX time, and `bull_prefix` begins all keys of BullMQ.

        `spans` makes the attempts' spans, by default with links.
        """
        self._consumer = consumer
        self._bull_prefix = bull_prefix
        self._spans = spans or AttemptSpans(consumer.queue)
        self._clock = clock
        self._waits = WaitReporter(consumer.queue, clock)

    async def __call__(self, job: ReceivedJob) -> AttemptResult:
        """Handle `job` once. Raises `CancelledError` when its task is cancelled, and no other error.

        `KeyboardInterrupt` and `SystemExit`, which end the process, pass as well.
        """
        try:
            call = self._consumer.prepare(job)
        except Exception as error:  # noqa: BLE001 - a job's data may hold anything
            with self._spans.open(job, None) as span:
                return _ended(span, self._unprepared(job, error), error)
        with self._spans.open(job, call.context) as span:
            return await self._run(job, call, span)

    async def _run(self, job: ReceivedJob, call: PreparedCall, span: OpenSpan) -> AttemptResult:
        task = asyncio.current_task()
        if task is not None:
            task.set_name(call.handler_name)  # by which an attempt that does not end is reported
        try:
            await call.run()
        except (KeyboardInterrupt, SystemExit):
            raise
        except GeneratorExit as error:
            if not _is_current(task):  # this coroutine is being closed, after its event loop
                raise
            return _ended(span, self._failed(job, call, error), error)
        except asyncio.CancelledError as cancelled:
            if _is_cancelled_by_worker():
                raise
            # The handler cancelled something of its own, or itself: a failure like any other.
            failure = HandlerCancelledError(f"the handler of job {job.id} was cancelled from inside")
            failure.__cause__ = cancelled
            return _ended(span, self._failed(job, call, failure), failure)
        except BaseException as error:
            if _is_cancelled_by_worker() and not isinstance(sole_error(error), RetryLater | GiveUp):
                self._report(job, call, error, "not counted: cancelled by the worker")
                raise asyncio.CancelledError from error
            return _ended(span, self._failed(job, call, error), error)
        return Completed()

    def _unprepared(self, job: ReceivedJob, error: Exception) -> AttemptResult:
        queue, unhandled = self._consumer.queue, self._consumer.unhandled
        # Only our own errors are known not to quote the job's data.
        reason = str(error) if isinstance(error, DomainStreamError) else STORED
        if is_unhandled(error):
            if unhandled == "skip":
                emit(Signal.WORKER_JOB_SKIPPED, queue=queue, job=job.id, name=job.name, reason=reason)
                return Completed()
            if isinstance(unhandled, Wait):
                if (pause := next_wait(job, unhandled.limit, self._clock())) is not None:
                    self._waits.report(job, error, pause)
                    return Waiting(pause, reason_of(error))
                reason = f"it has waited for {unhandled.limit}: {reason}"
        report_failed_job(
            queue,
            job,
            bull_prefix=self._bull_prefix,
            event=getattr(error, "event_type", None) or UNKNOWN,
            error=type(error).__name__,
            where=BEFORE_HANDLER,
            reason=reason,
        )
        return Failed(reason_of(error), stack_of(error))

    def _failed(self, job: ReceivedJob, call: PreparedCall, error: BaseException) -> AttemptResult:
        # The error handler and the log records belong to the event, although its handler has ended.
        with correlation_scope(correlation_id=call.context.correlation_id, causation_id=call.context.event_id):
            raised = sole_error(error)
            decided = isinstance(raised, RetryLater | GiveUp)
            match raised if decided else self._outcome_by_error_handler(job, call, raised):
                case Done():
                    self._report(job, call, error, "completed, by the error handler")
                    return Completed()
                case RetryLater(delay=delay):
                    if not decided:
                        self._report(job, call, error, f"{_next_step(delay)}, by the error handler")
                    return Delayed(delay)
                case GiveUp(reason=reason):
                    return self._failed_permanently(job, call, error, given_reason(reason))
                case _:
                    pause = next_pause(job)
                    if pause is None:
                        return self._failed_permanently(job, call, error, reason_of(raised))
                    self._report(job, call, error, _next_step(pause))
                    return Failed(reason_of(raised), stack_of(error), pause)

    def _failed_permanently(self, job: ReceivedJob, call: PreparedCall, error: BaseException, reason: str) -> Failed:
        report_failed_job(
            self._consumer.queue,
            job,
            bull_prefix=self._bull_prefix,
            event=call.event_name,
            error=type(sole_error(error)).__name__,
            where=place_of(error, call.handler),
            reason=str(error) if isinstance(error, DomainStreamError) else STORED,
        )
        return Failed(reason, stack_of(error))

    def _outcome_by_error_handler(
        self, job: ReceivedJob, call: PreparedCall, error: BaseException
    ) -> HandlerOutcome | None:
        try:
            outcome = instance_of(self._consumer.errors.outcome_of(error, call.context))
        except (RetryLater, GiveUp) as raised:
            return raised
        except Exception as failure:  # noqa: BLE001 - an error handler is the user's code
            problem = f"raised {type(failure).__name__}"
        else:
            if is_outcome(outcome):
                return outcome
            returned = f"the class {outcome.__name__}" if isinstance(outcome, type) else type(outcome).__name__
            problem = f"returned {returned}, which is not an outcome"
        emit(
            Signal.WORKER_ERROR_HANDLER_FAILED,
            queue=self._consumer.queue,
            job=job.id,
            name=job.name,
            reason=f"the error handler {problem}; the default applies",
        )
        return None

    def _report(self, job: ReceivedJob, call: PreparedCall, error: BaseException, next_step: str) -> None:
        emit(
            Signal.WORKER_ATTEMPT_FAILED,
            queue=self._consumer.queue,
            job=job.id,
            name=job.name,
            attempt=job.attempt,
            attempts=job.attempts,
            error=type(sole_error(error)).__name__,
            where=place_of(error, call.handler),
            event=call.event_name,
            next=next_step,
        )


def _ended(span: OpenSpan, result: AttemptResult, error: BaseException) -> AttemptResult:
    """Return how an attempt that ended with an error counts, for its span as well."""
    if isinstance(result, Failed):
        span.failed(sole_error(error))
    return result


def next_pause(job: ReceivedJob) -> timedelta | None:
    """Return the pause before the next attempt at `job`, whose current one has failed; None if that was the last.

    The pause is BullMQ's backoff, computed as bullmq 6 for Node.js does, but never longer than the `maxDelay` that our
    `JobSettings` write beside it.
    """
    if job.attempt >= job.attempts:
        return None
    return timedelta(milliseconds=_backoff_ms(job.backoff, job.attempt))


def _backoff_ms(backoff: Any, attempt: int) -> float:
    """Compute what `Backoffs` of bullmq does (`src/classes/backoffs.ts`): 0 without a backoff."""
    if not isinstance(backoff, Mapping):
        return _number(backoff)
    known = backoff if backoff.get("type") in ("fixed", "exponential") else _FALLBACK_BACKOFF
    delay = _number(known.get("delay"))
    if known["type"] == "exponential":
        longest = _number(known.get("maxDelay")) or _LONGEST_MS
        delay = round(min(delay * 2.0 ** min(attempt - 1, 64), longest))
    jitter = min(_number(known.get("jitter")), 1.0)
    if jitter == 0:
        return delay
    return math.floor(random.random() * delay * jitter + delay * (1 - jitter))  # noqa: S311 - jitter, not a secret


def _number(given: Any) -> float:
    """Return a number from the job's options, or 0 for anything else: any program may have added the job."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        return 0.0
    return min(max(given, 0.0), _LONGEST_MS)


def _is_cancelled_by_worker() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_current(task: asyncio.Task[Any] | None) -> bool:
    """Return whether `task` is running: a coroutine that is closed instead may be so in any task, or in none."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:
        return False


def _next_step(pause: timedelta) -> str:
    return f"retried in {pause.total_seconds():g} s" if pause else "retried at once"
