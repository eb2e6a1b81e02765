"""What a handler returns, and what that means for its job."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import OptimizationEvaluated
from support.handling import attempt_with, received

from domainstream.worker import Done, EventConsumer, EventContext, GiveUp, RetryLater
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.outcomes import AttemptResult, Completed, Delayed, Failed

JOB = received(attempts=3, backoff=500)


def returning(value: Any, *, plain: bool) -> Callable[..., Any]:
    """Return a handler, a plain function or a coroutine function, that returns `value`."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> Any:
        return value

    def plain_handler(event: OptimizationEvaluated, context: EventContext) -> Any:
        return value

    return plain_handler if plain else handler


async def result(value: Any, *, plain: bool) -> AttemptResult:
    """Return how the first of three attempts ends whose handler returns `value`."""
    return await attempt_with(returning(value, plain=plain), JOB)


KINDS = pytest.mark.parametrize("plain", [False, True], ids=["coroutine", "plain"])


@KINDS
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, Completed()),
        (Done(), Completed()),
        (Done, Completed()),
        (RetryLater(5), Delayed(timedelta(seconds=5))),
    ],
    ids=repr,
)
async def test_outcome_may_be_returned(
    value: Any, expected: AttemptResult, caplog: pytest.LogCaptureFixture, *, plain: bool
) -> None:
    """A returned outcome, and the class `Done`, decide about the job without a line in the log."""
    assert await result(value, plain=plain) == expected
    assert caplog.messages == []


@KINDS
@pytest.mark.parametrize(("value", "reason"), [(GiveUp("no"), "no"), (GiveUp, "the handler gave up without a reason")])
async def test_give_up_may_be_returned(
    value: Any, reason: str, caplog: pytest.LogCaptureFixture, *, plain: bool
) -> None:
    """A returned `GiveUp`, instance or class, fails the job permanently; the log names the place of the handler."""
    failed = await result(value, plain=plain)
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.again_in) == (reason, None)
    assert f" error=GiveUp where={__file__}:" in caplog.text


@KINDS
async def test_class_without_a_delay_fails_the_attempt(caplog: pytest.LogCaptureFixture, *, plain: bool) -> None:
    """The class `RetryLater` has no delay: the job is retried after its backoff, and the error says what to write."""
    failed = await result(RetryLater, plain=plain)
    assert isinstance(failed, Failed)
    assert failed.again_in == timedelta(milliseconds=500)
    assert failed.reason.endswith("it returned the class RetryLater; use `return RetryLater(30)`")
    assert "returned=the class RetryLater next=the attempt fails fix=return RetryLater(30)" in caplog.text


@KINDS
@pytest.mark.parametrize("value", [ValueError("why"), ValueError])
async def test_returned_exception_counts_as_raised(value: Any, *, plain: bool) -> None:
    """A forgotten `raise` does not complete the job."""
    failed = await result(value, plain=plain)
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("ValueError")
    assert failed.again_in == timedelta(milliseconds=500)


@KINDS
@pytest.mark.parametrize("end", [None, RetryLater(5)], ids=repr)
async def test_returned_coroutine_is_awaited(end: Any, *, plain: bool) -> None:
    """A forgotten `await` does not complete the job before its work, and what the work returns counts."""
    worked = []

    async def work() -> Any:
        worked.append(1)
        return end

    def plain_handler(event: OptimizationEvaluated, context: EventContext) -> Coroutine[Any, Any, Any]:
        return work()

    async def handler(event: OptimizationEvaluated, context: EventContext) -> Coroutine[Any, Any, Any]:
        return work()

    assert await attempt_with(plain_handler if plain else handler, JOB) == (
        Completed() if end is None else Delayed(timedelta(seconds=5))
    )
    assert worked == [1]


@KINDS
@pytest.mark.parametrize(
    "value", [3, True, "done", {}, [None], object, iter(())], ids=lambda value: type(value).__name__
)
async def test_other_value_completes_the_job_and_is_reported(
    value: Any, caplog: pytest.LogCaptureFixture, *, plain: bool
) -> None:
    """The work was done, so the job is completed; an error names the handler, the value's type and what to write."""
    assert await result(value, plain=plain) == Completed()
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    name = "plain_handler" if plain else "handler"
    assert record.getMessage() == (
        f"worker.value_returned handler={name} event=OptimizationEvaluated returned={type(value).__name__} "
        'next=the job is completed fix=return None, RetryLater(30) or GiveUp("why")'
    )


async def test_value_is_reported_once_for_each_handler(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand jobs of one handler are one line, and another handler has a line of its own."""
    consumer = EventConsumer("valuation")
    consumer.on(OptimizationEvaluated)(returning(3, plain=False))
    consumer.on(OptimizationEvaluated, job="other")(returning(3, plain=False))
    run = AttemptRunner(consumer)
    for _ in range(10):
        await run(JOB)
        await run(received(name="other"))
    assert len(caplog.records) == 2
