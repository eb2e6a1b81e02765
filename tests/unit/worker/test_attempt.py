"""How one attempt at a job ends, whatever its data and its handler do."""

import asyncio
import gc
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import OptimizationEvaluated, evaluated
from support.handling import attempt_with, received

from domainstream.errors import HandlerTimeoutError
from domainstream.event import CorrelationFilter
from domainstream.worker import Done, EventContext, GiveUp, ReceivedJob, RetryLater
from domainstream.worker.outcomes import AttemptResult, Completed, Delayed, Failed

RETRIED = received(attempts=3, backoff=500)


class OddError(BaseException):
    """An error that is not an `Exception`, as test tools raise."""


class MuteError(Exception):
    """An error whose message cannot be made."""

    def __str__(self) -> str:
        raise ValueError


def raising(error: BaseException, cause: BaseException | None = None) -> Callable[..., Any]:
    """Return a handler that raises `error`."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise error from cause

    return handler


def failed_job(error: str, attempt: int = 1) -> str:
    """Return the pattern of the line that reports that the job failed permanently."""
    return (
        r"worker\.job_failed queue=valuation job=event-1 name=price-stay event=OptimizationEvaluated "
        rf"attempt={attempt} error={error} where={re.escape(__file__)}:\d+ in handler reason=stored with the job "
        r"show=domainstream jobs show valuation event-1 retry=domainstream jobs retry valuation event-1"
    )


async def failed(handler: Callable[..., Any], job: ReceivedJob = RETRIED, **settings: Any) -> Failed:
    """Return how an attempt failed."""
    result = await attempt_with(handler, job, **settings)
    assert isinstance(result, Failed)
    return result


@pytest.mark.parametrize("answer", [None, Done()])
async def test_returning_completes_the_job(answer: Done | None) -> None:
    """Returning None and returning `Done()` both complete the job."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> Done | None:
        return answer

    assert await attempt_with(handler) == Completed()


async def test_retry_later_is_not_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """`RetryLater` delays the job, and nothing is logged."""
    assert await attempt_with(raising(RetryLater(5))) == Delayed(timedelta(seconds=5))
    assert not caplog.records


async def test_outcomes_may_be_returned_too() -> None:
    """An outcome that is returned instead of raised does not complete the job."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> RetryLater:
        return RetryLater(5)

    assert await attempt_with(handler) == Delayed(timedelta(seconds=5))


async def test_give_up_fails_permanently(caplog: pytest.LogCaptureFixture) -> None:
    """`GiveUp` fails the job with its reason and the traceback of its cause; the error in the log does not quote it."""
    end = await failed(raising(GiveUp("no such stay"), KeyError("stay-7")))
    assert end.reason == "no such stay"
    assert end.again_in is None
    assert re.search(r"(?s)KeyError: 'stay-7'.*direct cause.*GiveUp: no such stay", end.stack)
    assert re.fullmatch(failed_job("GiveUp"), caplog.messages[0])
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "no such stay" not in caplog.text


async def test_outcome_of_a_task_in_a_group_counts() -> None:
    """An outcome that a task group wraps is the outcome of the handler."""
    group = ExceptionGroup("tasks", [RetryLater(5)])
    assert await attempt_with(raising(group)) == Delayed(timedelta(seconds=5))


async def test_other_error_fails_the_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """A failed attempt keeps message and causes; the log has attempt, place and what follows, not the message."""
    end = await failed(raising(ValueError("a secret"), OSError("disk")))
    assert end.reason == "ValueError: a secret"
    assert end.again_in == timedelta(milliseconds=500)
    assert re.search(r"(?s)OSError: disk.*direct cause.*ValueError: a secret", end.stack)
    said = (
        r"worker\.attempt_failed queue=valuation job=event-1 name=price-stay attempt=1 attempts=3 error=ValueError "
        rf"where={re.escape(__file__)}:\d+ in handler event=OptimizationEvaluated next=retried in 0\.5 s"
    )
    assert re.fullmatch(said, caplog.messages[0])
    assert "secret" not in caplog.text


async def test_last_attempt_fails_permanently(caplog: pytest.LogCaptureFixture) -> None:
    """A failure of the last attempt is one line, an error with the commands that show and retry the job."""
    assert (await failed(raising(ValueError("a secret")), received(attempt=3, attempts=3))).again_in is None
    (record,) = caplog.records
    assert re.fullmatch(failed_job("ValueError", attempt=3), record.getMessage())
    assert record.levelname == "ERROR"


async def test_commands_in_the_log_can_be_pasted(caplog: pytest.LogCaptureFixture) -> None:
    """A job's id, which any program may have chosen, is quoted for the shell."""
    await failed(raising(ValueError()), received(id="a; reboot"))
    assert caplog.messages[0].endswith(" retry=domainstream jobs retry valuation 'a; reboot'")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError(), "ValueError"),
        (MuteError(), "MuteError, whose message fails with ValueError"),
        (ValueError("\ud800"), "ValueError: \\ud800"),
        (OddError("odd"), "OddError: odd"),
        (HandlerTimeoutError("their own"), "HandlerTimeoutError: their own"),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [KeyError("stay")])]), "KeyError: 'stay'"),
    ],
)
async def test_reason_says_something_that_can_be_stored(error: BaseException, reason: str) -> None:
    """Errors without a message, with a broken one, or of an unusual kind fail the attempt with a readable reason."""
    end = await failed(raising(error))
    assert end.reason == reason
    assert end.again_in == timedelta(milliseconds=500)
    assert end.stack.encode()


async def test_cancellation_from_inside_is_a_failure() -> None:
    """A CancelledError that did not come from the worker fails the attempt and is not raised further."""
    end = await failed(raising(asyncio.CancelledError()))
    assert end.reason == "HandlerCancelledError: the handler of job event-1 was cancelled from inside"
    assert end.again_in == timedelta(milliseconds=500)


async def cancelled(leave: BaseException, time_limit: timedelta | None) -> asyncio.Task[AttemptResult]:
    """Return an attempt that the worker cancelled, whose handler then raised `leave`."""
    started = asyncio.Event()

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise leave from None

    task = asyncio.create_task(attempt_with(handler, RETRIED, time_limit=time_limit))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("time_limit", [None, timedelta(seconds=60)])
@pytest.mark.parametrize("leave", [asyncio.CancelledError(), OSError("a secret")])
async def test_cancellation_by_the_worker_passes(
    leave: BaseException, time_limit: timedelta | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A cancelled attempt ends cancelled, even if the handler raises another error on its way out."""
    assert (await cancelled(leave, time_limit)).cancelled()
    gc.collect()
    assert "secret" not in caplog.text


async def test_outcome_raised_on_cancellation_by_the_worker_counts() -> None:
    """A handler that raises `RetryLater` when the worker cancels it decides when its job is retried."""
    assert (await cancelled(RetryLater(5), None)).result() == Delayed(timedelta(seconds=5))


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
async def test_end_of_the_process_passes(end: type[BaseException]) -> None:
    """An exception that ends the process does not count as a failure of the handler it interrupts."""
    # Not in a task of its own: asyncio lets these two end the event loop.
    with pytest.raises(end):
        await attempt_with(raising(end()))


@pytest.mark.parametrize("data", ["", "null", "rubbish", "\udcff", "[" * 1_000])
async def test_data_that_is_not_an_event_fails_permanently(data: str) -> None:
    """Data that cannot be decoded fails the job at its first attempt, since no later one could decode it."""
    end = await failed(raising(ValueError()), received(data=data, attempts=3))
    assert end.again_in is None
    assert re.match(r"(HostileJson|InvalidEnvelope)Error: ", end.reason)


async def test_time_beyond_all_calendars_fails_permanently() -> None:
    """A timestamp that no calendar has fails the job with an error of ours."""
    data = received().data.replace('"timestamp":1700000000123', '"timestamp":9007199254740991')
    end = await failed(raising(ValueError()), received(data=data))
    assert end.reason.startswith("InvalidEnvelopeError: the timestamp of the job's _redisEvent")


async def test_logs_of_failures_carry_the_correlation(caplog: pytest.LogCaptureFixture) -> None:
    """The log record of a failure carries the ids of the event, although its handler has ended."""
    with caplog.filtering(CorrelationFilter()):
        await failed(raising(ValueError()), received(evaluated(id="cause-1", correlation_id="stay-7")))
    (record,) = caplog.records
    assert vars(record)["correlation_id"] == "stay-7"
    assert vars(record)["causation_id"] == "cause-1"
