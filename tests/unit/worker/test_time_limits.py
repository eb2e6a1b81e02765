"""Handlers that may not run longer than a limit."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import OptimizationEvaluated
from support.handling import received, verdict_on

from domainstream.errors import ConfigurationError, HandlerTimeoutError
from domainstream.worker import ErrorHandler, EventConsumer, EventContext, RetryLater
from domainstream.worker import invocation as handler_call
from domainstream.worker.attempt_result import Completed, Delayed, Failed

SHORT = timedelta(milliseconds=20)
LONG = timedelta(seconds=60)


async def hang(event: OptimizationEvaluated, context: EventContext) -> None:
    """Never return."""
    await asyncio.Event().wait()


async def test_handler_is_cancelled_at_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    """The attempt fails like any other; trace and log show where the handler was."""
    failed = await verdict_on(hang, received(attempts=2, backoff=500), time_limit=SHORT)
    assert isinstance(failed, Failed)
    assert failed.reason == "hang took longer than its time limit of 0.02 s"
    assert failed.again_in == timedelta(milliseconds=500)
    assert "in hang" in failed.stack
    assert f"HandlerTimeoutError at {__file__}:" in caplog.text


async def test_cancellation_that_gets_lost_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler, or what it calls, may swallow the first one."""
    monkeypatch.setattr(handler_call, "RECANCEL_INTERVAL", 0.01)
    swallowed = []

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append(1)
                if len(swallowed) == 3:
                    raise

    failed = await verdict_on(handler, time_limit=SHORT)
    assert isinstance(failed, Failed)
    assert failed.reason[:12] == "handler took"
    assert len(swallowed) == 3


async def test_work_that_ends_all_the_same_counts() -> None:
    """A handler that finishes what it began when it is cancelled has done its job."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    assert await verdict_on(handler, time_limit=SHORT) == Completed()


async def test_cancellation_from_inside_is_not_taken_for_the_limit() -> None:
    """It fails the attempt as it does without a limit."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise asyncio.CancelledError

    failed = await verdict_on(handler, time_limit=LONG)
    assert isinstance(failed, Failed)
    assert failed.reason.endswith("was cancelled from inside")


async def test_cancellation_by_the_worker_reaches_the_handler() -> None:
    """A worker that is ending cancels handlers with a limit like any other."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(verdict_on(handler, time_limit=LONG))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_handler_within_its_limit_is_done() -> None:
    """The limit costs nothing otherwise."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        await asyncio.sleep(0)

    assert await verdict_on(handler, time_limit=LONG) == Completed()


@pytest.mark.parametrize(("consumers", "own"), [(LONG, SHORT), (None, SHORT), (SHORT, None)])
async def test_own_limit_of_a_handler_wins(consumers: timedelta | None, own: timedelta | None) -> None:
    """The consumer's is for those that have none."""
    consumer = EventConsumer("valuation", time_limit=consumers)
    consumer.on(OptimizationEvaluated, time_limit=own)(hang)
    with pytest.raises(HandlerTimeoutError, match=r"limit of 0\.02 s"):
        await consumer.handle(received())


async def test_time_out_of_the_handler_s_own_is_its_own() -> None:
    """A TimeoutError that the handler raises is not taken for its limit."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise TimeoutError("the bank does not answer")

    failed = await verdict_on(handler, time_limit=LONG)
    assert isinstance(failed, Failed)
    assert failed.reason == "the bank does not answer"


async def test_error_handler_may_know_the_time_limit() -> None:
    """It is an error like any other."""
    errors = ErrorHandler({HandlerTimeoutError: RetryLater(5)})
    assert await verdict_on(hang, time_limit=SHORT, errors=errors) == Delayed(timedelta(seconds=5))


async def test_plain_function_runs_on_in_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    """The attempt fails at the limit; the thread cannot be stopped, and the log says so."""
    going_on, ended = threading.Event(), threading.Event()

    def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        going_on.wait()
        ended.set()

    failed = await verdict_on(handler, time_limit=SHORT)
    assert isinstance(failed, Failed)
    assert "nobody waits any longer for handler, but its thread runs on" in caplog.text
    assert not ended.is_set()
    going_on.set()
    assert await asyncio.to_thread(ended.wait, 10)


@pytest.mark.parametrize("limit", [timedelta(), timedelta(seconds=-1), 5, "5 s"])
def test_limit_that_is_none_is_refused(limit: Any) -> None:
    """Both where the consumer is made and where a handler is."""
    with pytest.raises(ConfigurationError, match=r"time_limit is .*, expected a positive timedelta"):
        EventConsumer("valuation", time_limit=limit)
    with pytest.raises(ConfigurationError, match=r"time_limit is .*, expected a positive timedelta"):
        EventConsumer("valuation").on(OptimizationEvaluated, time_limit=limit)
