"""Time limits of handlers."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from support import consuming
from support.consuming import PATIENCE, OptimizationEvaluated, Stubborn, until
from support.handling import attempt_with, received

from domainstream.errors import ConfigurationError, HandlerTimeoutError
from domainstream.worker import ErrorHandler, EventConsumer, EventContext, RetryLater, abandoned
from domainstream.worker.outcomes import Completed, Delayed, Failed

SHORT = timedelta(milliseconds=20)
LONG = timedelta(seconds=60)


async def hang(event: OptimizationEvaluated, context: EventContext) -> None:
    """Never return."""
    await asyncio.Event().wait()


async def test_handler_is_cancelled_at_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that reaches its limit fails its attempt; traceback and log show where it was."""
    failed = await attempt_with(hang, received(attempts=2, backoff=500), time_limit=SHORT)
    assert isinstance(failed, Failed)
    assert failed.reason == "HandlerTimeoutError: hang took longer than its time limit of 0.02 s"
    assert failed.again_in == timedelta(milliseconds=500)
    assert "in hang" in failed.stack
    assert f"error=HandlerTimeoutError where={__file__}:" in caplog.text
    assert " in hang event=" in caplog.text


async def test_cancellation_that_gets_lost_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that swallows its cancellation is cancelled again."""
    monkeypatch.setattr(abandoned, "CANCELLATION_LIMIT", 2.0)
    swallowed = []

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append(1)
                if len(swallowed) == 2:
                    raise

    failed = await attempt_with(handler, time_limit=SHORT)
    assert isinstance(failed, Failed)
    assert failed.reason == "HandlerTimeoutError: handler took longer than its time limit of 0.02 s"
    assert len(swallowed) == 2


async def test_handler_that_ignores_its_cancellation_fails_on_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that does not end at its limit is abandoned: its attempt fails, its late result is ignored."""
    monkeypatch.setattr(abandoned, "CANCELLATION_LIMIT", 0.02)
    stubborn, calls = Stubborn(), abandoned.AbandonedCalls()
    abandoned.abandoned_calls.set(calls)
    async with asyncio.timeout(PATIENCE):
        failed = await attempt_with(stubborn.handle, received(attempts=2), time_limit=SHORT)
        assert isinstance(failed, Failed)
        assert "handle took longer than its time limit of 0.02 s and did not end when it was" in failed.reason
        assert failed.again_in is not None
        assert calls.count == 1
        assert f"worker.handler_abandoned handler=handle job=event-1 where={consuming.__file__}:" in caplog.text
        stubborn.give_in.set()
        await until(lambda: "worker.handler_ended_late handler=handle job=event-1" in caplog.text)


def test_abandoned_handler_does_not_keep_the_process() -> None:
    """`asyncio.run` ends although a handler that was abandoned still ignores every cancellation."""
    stubborn = Stubborn()

    async def main() -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(abandoned, "CANCELLATION_LIMIT", 0.02)
            await attempt_with(stubborn.handle, time_limit=SHORT)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert stubborn.cancellations == 2


async def test_work_that_completes_on_cancellation_counts() -> None:
    """A handler that returns after it was cancelled at its limit has done its job."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    assert await attempt_with(handler, time_limit=SHORT) == Completed()


async def test_cancellation_from_inside_is_not_taken_for_the_limit() -> None:
    """A handler that cancels itself within its limit fails the attempt as it does without one."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise asyncio.CancelledError

    failed = await attempt_with(handler, time_limit=LONG)
    assert isinstance(failed, Failed)
    assert failed.reason.endswith("was cancelled from inside")


async def test_cancellation_by_the_worker_reaches_the_handler() -> None:
    """A worker that is stopping also cancels handlers that have a time limit."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(attempt_with(handler, time_limit=LONG))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_handler_within_its_limit_is_done() -> None:
    """A handler that returns within its limit completes its job."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        await asyncio.sleep(0)

    assert await attempt_with(handler, time_limit=LONG) == Completed()


@pytest.mark.parametrize(("consumers", "own"), [(LONG, SHORT), (None, SHORT), (SHORT, None)])
async def test_own_limit_of_a_handler_wins(consumers: timedelta | None, own: timedelta | None) -> None:
    """The consumer's time limit applies only to handlers without one of their own."""
    consumer = EventConsumer("valuation", time_limit=consumers)
    consumer.on(OptimizationEvaluated, time_limit=own)(hang)
    with pytest.raises(HandlerTimeoutError, match=r"limit of 0\.02 s"):
        await consumer.handle(received())


async def test_timeout_error_of_the_handler_is_its_own() -> None:
    """A TimeoutError that the handler raises is not taken for its limit."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise TimeoutError("the bank does not answer")

    failed = await attempt_with(handler, time_limit=LONG)
    assert isinstance(failed, Failed)
    assert failed.reason == "TimeoutError: the bank does not answer"


async def test_error_handler_may_know_the_time_limit() -> None:
    """An error handler may have a rule for `HandlerTimeoutError`."""
    errors = ErrorHandler({HandlerTimeoutError: RetryLater(5)})
    assert await attempt_with(hang, time_limit=SHORT, errors=errors) == Delayed(timedelta(seconds=5))


async def test_plain_function_runs_on_in_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    """A plain function fails its attempt at the limit, and its thread, which cannot be stopped, is logged."""
    going_on, ended = threading.Event(), threading.Event()

    def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        going_on.wait()
        ended.set()

    failed = await attempt_with(handler, time_limit=SHORT)
    assert isinstance(failed, Failed)
    assert "worker.thread_abandoned handler=handler" in caplog.text
    assert not ended.is_set()
    going_on.set()
    assert await asyncio.to_thread(ended.wait, 10)


@pytest.mark.parametrize("limit", [timedelta(), timedelta(seconds=-1), 5, "5 s"])
def test_invalid_limit_is_rejected(limit: Any) -> None:
    """An invalid limit is an error for the consumer as well as for a handler."""
    with pytest.raises(ConfigurationError, match=r"time_limit is .*, expected a positive timedelta"):
        EventConsumer("valuation", time_limit=limit)
    with pytest.raises(ConfigurationError, match=r"time_limit is .*, expected a positive timedelta"):
        EventConsumer("valuation").on(OptimizationEvaluated, time_limit=limit)
