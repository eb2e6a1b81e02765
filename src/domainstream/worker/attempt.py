"""One attempt at a job, from what was received to how it ended and when the next one follows."""

import asyncio
import math
import random
import traceback
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from domainstream.errors import DomainStreamError, HandlerCancelledError, HandlerNotFoundError
from domainstream.event import correlation_scope
from domainstream.telemetry import Signal, emit
from domainstream.worker.consumer import EventConsumer
from domainstream.worker.context import ReceivedJob
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
    is_outcome,
)
from domainstream.worker.prepared_call import PreparedCall

_FALLBACK_BACKOFF: Final[Mapping[str, Any]] = {"type": "exponential", "delay": 1000, "jitter": 0.5}
"""The backoff for custom strategies, which are code of the program that added the job."""

_LONGEST_MS: Final = LONGEST / timedelta(milliseconds=1)


class AttemptRunner:
    """Runs attempts at jobs with the handlers of one consumer; `await runner(job)` returns how the attempt ended.

    For many tasks concurrently. Each attempt needs a task of its own, because time limits and cancellations act on it.
    """

    def __init__(self, consumer: EventConsumer) -> None:
        """Use the handlers of `consumer`."""
        self._consumer = consumer

    async def __call__(self, job: ReceivedJob) -> AttemptResult:
        """Handle `job` once. Raises `CancelledError` when its task is cancelled, and no other error.

        `KeyboardInterrupt` and `SystemExit`, which end the process, pass as well.
        """
        try:
            call = self._consumer.prepare(job)
        except Exception as error:  # noqa: BLE001 - a job's data may hold anything
            return self._unprepared(job, error)
        try:
            await call.run()
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except asyncio.CancelledError as cancelled:
            if _is_cancelled_by_worker():
                raise
            # The handler cancelled something of its own, or itself: a failure like any other.
            failure = HandlerCancelledError(f"the handler of job {job.id} was cancelled from inside")
            failure.__cause__ = cancelled
            return self._failed(job, call, failure)
        except BaseException as error:
            if _is_cancelled_by_worker() and not isinstance(sole_error(error), RetryLater | GiveUp):
                self._report(job, call, error, "not counted: cancelled by the worker")
                raise asyncio.CancelledError from error
            return self._failed(job, call, error)
        return Completed()

    def _unprepared(self, job: ReceivedJob, error: Exception) -> AttemptResult:
        queue, kind = self._consumer.queue, type(error).__name__
        # Only our own errors are known not to quote the job's data.
        reason = message_of(error) if isinstance(error, DomainStreamError) else "unexpected error"
        if isinstance(error, HandlerNotFoundError) and self._consumer.unhandled == "skip":
            emit(Signal.WORKER_JOB_SKIPPED, queue=queue, job=job.id, name=job.name, reason=reason)
            return Completed()
        emit(Signal.WORKER_JOB_REJECTED, queue=queue, job=job.id, name=job.name, error=kind, reason=reason)
        return Failed(f"{kind}: {message_of(error)}", stack_of(error))

    def _failed(self, job: ReceivedJob, call: PreparedCall, error: BaseException) -> AttemptResult:
        # The error handler and the log records belong to the event, although its handler has ended.
        with correlation_scope(correlation_id=call.context.correlation_id, causation_id=call.context.event_id):
            raised = sole_error(error)
            if isinstance(raised, RetryLater):
                return Delayed(raised.delay)
            if isinstance(raised, GiveUp):
                emit(
                    Signal.WORKER_HANDLER_GAVE_UP,
                    queue=self._consumer.queue,
                    job=job.id,
                    name=job.name,
                    attempt=job.attempt,
                    handler=call.handler_name,
                    event=call.event_name,
                )
                return Failed(message_of(raised), stack_of(error))
            match self._outcome_by_error_handler(job, call, raised):
                case Done():
                    self._report(job, call, error, "completed, by the error handler")
                    return Completed()
                case RetryLater(delay=delay):
                    self._report(job, call, error, f"{_next_step(delay)}, by the error handler")
                    return Delayed(delay)
                case GiveUp() as outcome:
                    self._report(job, call, error, "failed permanently, by the error handler")
                    return Failed(message_of(outcome), stack_of(error))
                case None:
                    pause = next_pause(job)
                    self._report(job, call, error, _next_step(pause))
                    return Failed(message_of(error), stack_of(error), pause)

    def _outcome_by_error_handler(
        self, job: ReceivedJob, call: PreparedCall, error: BaseException
    ) -> HandlerOutcome | None:
        try:
            outcome = self._consumer.errors.outcome_of(error, call.context)
        except (RetryLater, GiveUp) as raised:
            return raised
        except Exception as failure:  # noqa: BLE001 - an error handler is the user's code
            problem = f"raised {type(failure).__name__}"
        else:
            if is_outcome(outcome):
                return outcome
            problem = f"returned {type(outcome).__name__}, which is not an outcome"
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
            # A job that stalled may be at an attempt beyond its last.
            attempts=max(job.attempts, job.attempt),
            error=type(error).__name__,
            where=place_of(error, call.handler),
            event=call.event_name,
            next=next_step,
        )


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


def message_of(error: BaseException) -> str:
    """Return the error's message, or its type's name if the message is blank."""
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - a broken exception of the user's
        text = f"{type(error).__name__}, whose message fails with {type(failure).__name__}"
    return _encodable(text.strip() or type(error).__name__)


def stack_of(error: BaseException) -> str:
    """Return the traceback of the error and of all its causes."""
    return _encodable("".join(traceback.format_exception(error)))


def sole_error(error: BaseException) -> BaseException:
    """Return the only error in a group, since a task group wraps even a single one; otherwise the error itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def place_of(error: BaseException, handler: object) -> str:
    """Return the innermost line in the handler's own package: the line in a library it called says less.

    For errors that passed through none of its lines, as those of a middleware, it is the innermost line of all.
    """
    home = _package(getattr(handler, "__module__", None))
    traces = [list(traceback.walk_tb(cause.__traceback__)) for cause in _causes(error)]
    own = ([step for step in trace if _package(step[0].f_globals.get("__name__")) == home] for trace in traces)
    steps = next(filter(None, own), traces[0])
    if not steps:
        return "unknown"
    frame, line = steps[-1]
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def _is_cancelled_by_worker() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _next_step(pause: timedelta | None) -> str:
    if pause is None:
        return "failed permanently"
    return f"retried in {pause.total_seconds():g} s" if pause else "retried at once"


def _encodable(text: str) -> str:
    """Escape lone surrogates, which cannot be sent as UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes: only the cause of a `HandlerTimeoutError` shows where the handler was."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _package(module: object) -> str:
    return str(module).partition(".")[0]
