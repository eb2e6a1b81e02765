"""One attempt at a job, from what was received to how it ended."""

import asyncio
import logging

from domainstream.errors import DomainStreamError, HandlerCancelledError, HandlerNotFoundError
from domainstream.event import correlation_scope
from domainstream.worker.attempt_result import AttemptResult, Completed, Delayed, Failed
from domainstream.worker.backoff import next_pause
from domainstream.worker.consumer import EventConsumer
from domainstream.worker.context import ReceivedJob
from domainstream.worker.error_handler import is_outcome
from domainstream.worker.failure_text import failure_line, message_of, pause_text, sole_error, stack_of
from domainstream.worker.outcomes import Done, GiveUp, HandlerOutcome, RetryLater
from domainstream.worker.prepared_call import PreparedCall, name_of

log = logging.getLogger("domainstream.worker")


class AttemptRunner:
    """Tries jobs with the handlers of one consumer; `await attempt(job)` returns how it went.

    For many tasks at once, each attempt in a task of its own, which time limits and cancellations need.
    """

    def __init__(self, consumer: EventConsumer) -> None:
        """Use the handlers of `consumer`."""
        self._consumer = consumer

    async def __call__(self, job: ReceivedJob) -> AttemptResult:
        """Handle `job` once. Raises `CancelledError` when its task is cancelled, and nothing else.

        Only what ends the process passes too: a signal's `KeyboardInterrupt` or `SystemExit`.
        """
        try:
            handling = self._consumer.prepare(job)
        except Exception as error:  # noqa: BLE001 - a job's data may hold anything
            return self._unprepared(job, error)
        try:
            await handling()
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except asyncio.CancelledError as cancelled:
            if _being_cancelled():
                raise
            # Something inside the handler was cancelled, not the worker: that is a failure like any other.
            ours = HandlerCancelledError(f"the handler of job {job.id} was cancelled from inside")
            ours.__cause__ = cancelled
            return self._failed(job, handling, ours)
        except BaseException as error:
            if _being_cancelled() and not isinstance(sole_error(error), RetryLater | GiveUp):
                self._tell(job, handling, error, "not counted, since the worker cancelled it")
                raise asyncio.CancelledError from error
            return self._failed(job, handling, error)
        return Completed()

    def _unprepared(self, job: ReceivedJob, error: Exception) -> AttemptResult:
        # What is not ours may quote the job's data.
        text = message_of(error) if isinstance(error, DomainStreamError) else "an error that should not happen"
        if isinstance(error, HandlerNotFoundError) and self._consumer.unhandled == "skip":
            log.info("queue %s: job %s (%s) is skipped: %s", self._consumer.queue, job.id, job.name, text)
            return Completed()
        self._warn(job, "fails for good: %s: %s", type(error).__name__, text)
        return Failed(f"{type(error).__name__}: {message_of(error)}", stack_of(error))

    def _failed(self, job: ReceivedJob, handling: PreparedCall, error: BaseException) -> AttemptResult:
        context = handling.context
        with correlation_scope(correlation_id=context.correlation_id, causation_id=context.event_id):
            return self._judged(job, handling, error, self._outcome_of(job, handling, sole_error(error)))

    def _judged(
        self, job: ReceivedJob, handling: PreparedCall, error: BaseException, outcome: HandlerOutcome | None
    ) -> AttemptResult:
        asked = sole_error(error) is outcome
        match outcome:
            case Done():
                self._tell(job, handling, error, "done all the same, says the error handler")
                return Completed()
            case RetryLater():
                if not asked:
                    self._tell(job, handling, error, f"{pause_text(outcome.delay)}, says the error handler")
                return Delayed(outcome.delay)
            case GiveUp():
                handler, event = name_of(handling.handler), handling.event_name
                if asked:
                    self._warn(job, "%s gave up %s in attempt %d; failed for good", handler, event, job.attempt)
                else:
                    self._tell(job, handling, error, "failed for good, says the error handler")
                return Failed(message_of(outcome), stack_of(error))
            case None:
                pause = next_pause(job)
                self._tell(job, handling, error, pause_text(pause))
                return Failed(message_of(error), stack_of(error), pause)

    def _outcome_of(self, job: ReceivedJob, handling: PreparedCall, error: BaseException) -> HandlerOutcome | None:
        if isinstance(error, RetryLater | GiveUp):
            return error
        try:
            outcome = self._consumer.errors.outcome_of(error, handling.context)
        except (RetryLater, GiveUp) as raised:
            return raised
        except Exception as failure:  # noqa: BLE001 - an error handler is the user's code
            self._warn(job, "the error handler failed with %s; the default applies", type(failure).__name__)
            return None
        if is_outcome(outcome):
            return outcome
        self._warn(job, "the error handler returned a %s; the default applies", type(outcome).__name__)
        return None

    def _tell(self, job: ReceivedJob, handling: PreparedCall, error: BaseException, following: str) -> None:
        self._warn(job, "%s", failure_line(error, handling, job, following))

    def _warn(self, job: ReceivedJob, text: str, *values: object) -> None:
        log.warning(f"queue %s: job %s (%s): {text}", self._consumer.queue, job.id, job.name, *values)  # noqa: G004 - a constant


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
