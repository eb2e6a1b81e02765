"""How one attempt at a job ends, whatever its data and its handler do."""

import asyncio
import gc
import logging
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import OptimizationEvaluated, calculated, evaluated
from support.handling import received, verdict_on

from domainstream.errors import HandlerTimeoutError
from domainstream.event import CorrelationFilter
from domainstream.worker import Done, EventConsumer, EventContext, GiveUp, ReceivedJob, RetryLater
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.attempt_result import AttemptResult, Completed, Delayed, Failed

RETRIED = received(attempts=3, backoff=500)


class OddError(BaseException):
    """As test tools raise: no `Exception`."""


class MuteError(Exception):
    """An error whose message cannot be made."""

    def __str__(self) -> str:
        raise ValueError


def raising(error: BaseException, cause: BaseException | None = None) -> Callable[..., Any]:
    """Return a handler that raises `error`."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise error from cause

    return handler


async def failed(handler: Callable[..., Any], job: ReceivedJob = RETRIED, **settings: Any) -> Failed:
    """Return how an attempt failed."""
    result = await verdict_on(handler, job, **settings)
    assert isinstance(result, Failed)
    return result


@pytest.mark.parametrize("answer", [None, Done()])
async def test_returning_completes_the_job(answer: Done | None) -> None:
    """Nothing and `Done()` mean the same."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> Done | None:
        return answer

    assert await verdict_on(handler) == Completed()


async def test_retry_later_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The job comes again after the delay, and nobody is warned."""
    assert await verdict_on(raising(RetryLater(5))) == Delayed(timedelta(seconds=5))
    assert not caplog.records


async def test_answers_may_be_returned_too() -> None:
    """A forgotten `raise` does not complete the job."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> RetryLater:
        return RetryLater(5)

    assert await verdict_on(handler) == Delayed(timedelta(seconds=5))


async def test_give_up_fails_for_good(caplog: pytest.LogCaptureFixture) -> None:
    """With the reason and the trace of what led to it; the log does not quote the reason."""
    end = await failed(raising(GiveUp("no such stay"), KeyError("stay-7")))
    assert end.reason == "no such stay"
    assert end.again_in is None
    assert re.search(r"(?s)KeyError: 'stay-7'.*direct cause.*GiveUp: no such stay", end.stack)
    assert "handler gave up OptimizationEvaluated in attempt 1; failed for good" in caplog.text
    assert "no such stay" not in caplog.text


async def test_answer_of_a_task_in_a_group_counts() -> None:
    """A task group wraps what its task raises."""
    group = ExceptionGroup("tasks", [RetryLater(5)])
    assert await verdict_on(raising(group)) == Delayed(timedelta(seconds=5))


async def test_other_error_fails_the_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """Its message and the whole chain of causes are kept; the log says where, and what comes next."""
    end = await failed(raising(ValueError("a secret"), OSError("disk")))
    assert end.reason == "a secret"
    assert end.again_in == timedelta(milliseconds=500)
    assert re.search(r"(?s)OSError: disk.*direct cause.*ValueError: a secret", end.stack)
    place = rf"ValueError at {re.escape(__file__)}:\d+ in handler, handling OptimizationEvaluated"
    said = rf"queue valuation: job event-1 \(price-stay\): attempt 1 of 3 failed: {place}; again in 0.5 s$"
    assert re.search(said, caplog.messages[0])
    assert "secret" not in caplog.text


async def test_last_attempt_fails_for_good(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing comes after it."""
    assert (await failed(raising(ValueError()), received(attempt=3, attempts=3))).again_in is None
    assert "attempt 3 of 3 failed" in caplog.text


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError(), "ValueError"),
        (MuteError(), "MuteError, whose message fails with ValueError"),
        (ValueError("\ud800"), "\\ud800"),
        (OddError("odd"), "odd"),
        (HandlerTimeoutError("their own"), "their own"),
    ],
)
async def test_reason_says_something_that_can_be_stored(error: BaseException, reason: str) -> None:
    """Errors without a message, with a broken one, or of a strange kind fail the attempt like any other."""
    end = await failed(raising(error))
    assert end.reason == reason
    assert end.again_in == timedelta(milliseconds=500)
    assert end.stack.encode()


async def test_cancellation_from_inside_is_a_failure() -> None:
    """A CancelledError that did not come from the worker fails the attempt and goes no further."""
    end = await failed(raising(asyncio.CancelledError()))
    assert end.reason == "the handler of job event-1 was cancelled from inside"
    assert end.again_in == timedelta(milliseconds=500)


async def cancelled(leave: BaseException, time_limit: timedelta | None) -> asyncio.Task[AttemptResult]:
    """Return an attempt that the worker cancelled, and whose handler raised `leave` then."""
    started = asyncio.Event()

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise leave from None

    task = asyncio.create_task(verdict_on(handler, RETRIED, time_limit=time_limit))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("time_limit", [None, timedelta(seconds=60)])
@pytest.mark.parametrize("leave", [asyncio.CancelledError(), OSError("a secret")])
async def test_cancellation_by_the_worker_passes(
    leave: BaseException, time_limit: timedelta | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker, which is ending, hands the job back, also when the handler made an error of its cancellation."""
    assert (await cancelled(leave, time_limit)).cancelled()
    gc.collect()
    assert "secret" not in caplog.text


async def test_answer_to_the_cancellation_by_the_worker_counts() -> None:
    """A handler that knows when its job shall come again is heard."""
    assert (await cancelled(RetryLater(5), None)).result() == Delayed(timedelta(seconds=5))


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
async def test_end_of_the_process_passes(end: type[BaseException]) -> None:
    """A signal may interrupt a handler at any place; that must not count as its failure."""
    # Not in a task of its own: asyncio lets these two end the event loop.
    with pytest.raises(end):
        await verdict_on(raising(end()))


@pytest.mark.parametrize("data", ["", "null", "rubbish", "\udcff", "[" * 1_000])
async def test_data_that_is_no_event_fails_for_good(data: str) -> None:
    """No later attempt would read it."""
    end = await failed(raising(ValueError()), received(data=data, attempts=3))
    assert end.again_in is None
    assert re.match(r"(HostileJson|InvalidEnvelope)Error: ", end.reason)


async def test_time_beyond_all_calendars_fails_for_good() -> None:
    """Whoever added the job, the answer is a verdict."""
    data = received().data.replace('"timestamp":1700000000123', '"timestamp":9007199254740991')
    end = await failed(raising(ValueError()), received(data=data))
    assert end.reason.startswith("InvalidEnvelopeError: the timestamp of the job's _redisEvent")


async def test_event_that_nobody_handles_fails_for_good(caplog: pytest.LogCaptureFixture) -> None:
    """A silent success would hide a forgotten handler."""
    end = await failed(raising(ValueError()), received(calculated(), attempts=3))
    assert end.again_in is None
    assert end.reason.startswith("HandlerNotFoundError: queue valuation, job price-stay (event-1): no handler for")
    assert "fails for good: HandlerNotFoundError" in caplog.text


async def test_event_that_nobody_handles_may_be_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """Where a queue is shared on purpose, such jobs are completed, and the log says so."""
    caplog.set_level(logging.INFO, "domainstream.worker")
    consumer = EventConsumer("valuation", unhandled="skip")
    assert await AttemptRunner(consumer)(received(calculated())) == Completed()
    await consumer.handle(received(calculated()))
    assert "queue valuation: job event-1 (price-stay) is skipped: " in caplog.text


async def test_logs_of_failures_carry_the_correlation(caplog: pytest.LogCaptureFixture) -> None:
    """Also what is logged once the handler has ended, as its failure."""
    with caplog.filtering(CorrelationFilter()):
        await failed(raising(ValueError()), received(evaluated(id="cause-1", correlation_id="stay-7")))
    (record,) = caplog.records
    assert vars(record)["correlation_id"] == "stay-7"
    assert vars(record)["causation_id"] == "cause-1"
