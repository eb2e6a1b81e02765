"""Middlewares around the calls of handlers."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from support.consuming import OptimizationEvaluated, calculated, evaluated
from support.handling import attempt_with, received

from domainstream.errors import ConfigurationError, HandlerNotFoundError, HandlerTimeoutError
from domainstream.worker import (
    ErrorHandler,
    EventConsumer,
    EventContext,
    GiveUp,
    Middleware,
    Next,
    PreparedCall,
    RetryLater,
)
from domainstream.worker.outcomes import AttemptResult, Completed, Delayed, Failed

tenant: ContextVar[str] = ContextVar("tenant", default="none")


def noting(name: str, notes: list[str]) -> Middleware:
    """Return a middleware that notes when it begins and ends."""

    async def note(call: PreparedCall, call_next: Next) -> None:
        notes.append(f"{name} begins")
        await call_next(call)
        notes.append(f"{name} ends")

    return note


async def raise_value_error(call: PreparedCall, call_next: Next) -> None:
    """Fail before the handler."""
    raise ValueError("a secret")


async def nothing(event: OptimizationEvaluated, context: EventContext) -> None:
    """Handle an event by doing nothing."""


async def test_first_middleware_is_outermost() -> None:
    """Middlewares surround each other in the order in which they are given."""
    notes: list[str] = []

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        notes.append("handler")

    assert await attempt_with(handler, middlewares=[noting("a", notes), noting("b", notes)]) == Completed()
    assert notes == ["a begins", "b begins", "handler", "b ends", "a ends"]


async def test_added_middleware_surrounds_all_others() -> None:
    """`add_middleware` applies to handlers registered before and after it, around the other middlewares."""
    notes: list[str] = []
    consumer = EventConsumer("valuation", middlewares=[noting("inner", notes)])
    consumer.on(OptimizationEvaluated, job="price-stay")(nothing)
    consumer.add_middleware(noting("outer", notes))
    consumer.on(OptimizationEvaluated, job="price-room")(nothing)
    for name in ("price-stay", "price-room"):
        notes.clear()
        await consumer.handle(received(name=name))
        assert notes == ["outer begins", "inner begins", "inner ends", "outer ends"]


async def test_middleware_runs_once_per_attempt_in_the_correlation_scope() -> None:
    """A middleware runs for each attempt, and events it makes have the handled event as their cause."""
    made = []

    async def make(call: PreparedCall, call_next: Next) -> None:
        made.append(calculated())
        await call_next(call)

    consumer = EventConsumer("valuation", middlewares=[make])
    consumer.on(OptimizationEvaluated)(nothing)
    for attempt in (1, 2):
        await consumer.handle(received(evaluated(id="cause-1", correlation_id="stay-7"), attempt))
    assert [event.causation_id for event in made] == ["cause-1"] * 2
    assert [event.correlation_id for event in made] == ["stay-7"] * 2


async def test_middleware_knows_event_context_and_handler() -> None:
    """A call names the event and handler, and carries the job's context."""
    seen: list[PreparedCall] = []

    async def look(call: PreparedCall, call_next: Next) -> None:
        seen.append(call)
        await call_next(call)

    event = evaluated()
    await attempt_with(nothing, received(event, attempt=2), middlewares=[look])
    (call,) = seen
    assert call.event == event
    assert call.context.attempt == 2
    assert call.handler is nothing
    assert call.handler_name == "nothing"
    assert call.event_name == "OptimizationEvaluated"


@pytest.mark.parametrize(
    ("raised", "result"), [(RetryLater(5), Delayed(timedelta(seconds=5))), (GiveUp("no"), None)], ids=["later", "never"]
)
async def test_middleware_may_raise_an_outcome(raised: Exception, result: AttemptResult | None) -> None:
    """`RetryLater` and `GiveUp` from a middleware are outcomes as if the handler had raised them."""

    async def decide(call: PreparedCall, call_next: Next) -> None:
        raise raised

    outcome = await attempt_with(nothing, middlewares=[decide])
    assert outcome == result or (isinstance(outcome, Failed) and outcome.reason == "no")


async def test_error_of_a_middleware_fails_the_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """An error of a middleware fails the attempt, and the log says where, without its message."""
    result = await attempt_with(nothing, received(attempts=2, backoff=500), middlewares=[raise_value_error])
    assert isinstance(result, Failed)
    assert result.reason == "ValueError: a secret"
    assert result.again_in == timedelta(milliseconds=500)
    assert f"error=ValueError where={__file__}:" in caplog.text
    assert " in raise_value_error event=OptimizationEvaluated " in caplog.text
    assert "secret" not in caplog.text


async def test_error_handler_decides_about_errors_of_middlewares() -> None:
    """A rule of the consumer's error handler applies to a middleware's error."""
    errors = ErrorHandler({ValueError: RetryLater(5)})
    result = await attempt_with(nothing, errors=errors, middlewares=[raise_value_error])
    assert result == Delayed(timedelta(seconds=5))


async def test_returned_outcomes_reach_middlewares_as_exceptions() -> None:
    """An outcome that the handler returns, in the event loop or in a thread, is raised through the middlewares."""
    seen: list[BaseException] = []

    async def look(call: PreparedCall, call_next: Next) -> None:
        try:
            await call_next(call)
        except RetryLater as error:
            seen.append(error)
            raise

    async def handler(event: OptimizationEvaluated, context: EventContext) -> RetryLater:
        return RetryLater(5)

    def plain(event: OptimizationEvaluated, context: EventContext) -> RetryLater:
        return RetryLater(5)

    for function in (handler, plain):
        assert await attempt_with(function, middlewares=[look]) == Delayed(timedelta(seconds=5))
    assert len(seen) == 2


async def test_time_limit_is_inside_of_middlewares() -> None:
    """A middleware sees the time-out of its handler."""
    seen: list[BaseException] = []

    async def look(call: PreparedCall, call_next: Next) -> None:
        try:
            await call_next(call)
        except HandlerTimeoutError as error:
            seen.append(error)

    async def hang(event: OptimizationEvaluated, context: EventContext) -> None:
        await asyncio.Event().wait()

    limit = timedelta(milliseconds=20)
    assert await attempt_with(hang, middlewares=[look], time_limit=limit) == Completed()
    assert len(seen) == 1


@pytest.mark.parametrize("limit", [None, timedelta(seconds=60)])
async def test_context_variables_of_a_middleware_reach_the_handler(limit: timedelta | None) -> None:
    """A context variable set by a middleware is seen by the handler, also in a thread and under a time limit."""
    seen: list[str] = []

    async def set_tenant(call: PreparedCall, call_next: Next) -> None:
        tenant.set("clinic-7")
        await call_next(call)

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        seen.append(tenant.get())

    def plain(event: OptimizationEvaluated, context: EventContext) -> None:
        seen.append(tenant.get())

    for function in (handler, plain):
        await attempt_with(function, middlewares=[set_tenant], time_limit=limit)
    assert seen == ["clinic-7"] * 2


async def test_middleware_may_replace_the_event() -> None:
    """The handler gets the event of the call that the middleware passes on."""
    handled: list[OptimizationEvaluated] = []
    other = evaluated(id="other")

    async def swap(call: PreparedCall, call_next: Next) -> None:
        await call_next(replace(call, event=other))

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.append(event)

    assert await attempt_with(handler, middlewares=[swap]) == Completed()
    assert handled == [other]


async def test_job_without_a_handler_reaches_no_middleware() -> None:
    """A job that no handler takes fails before any middleware runs."""
    notes: list[str] = []
    consumer = EventConsumer("valuation", middlewares=[noting("a", notes)])
    with pytest.raises(HandlerNotFoundError):
        await consumer.handle(received())
    assert notes == []


@pytest.mark.parametrize("middleware", [lambda _call: None, "measure"])
def test_middleware_that_cannot_take_a_call_is_rejected(middleware: Any) -> None:
    """A wrong signature is an error when the middleware is given, not at the first job."""
    said = r"(?s)middleware '.*cannot take a call and call_next: .*use async def"
    adding: list[Callable[[], object]] = [
        lambda: EventConsumer("valuation", middlewares=[middleware]),
        lambda: EventConsumer("valuation").add_middleware(middleware),
    ]
    for add in adding:
        with pytest.raises(ConfigurationError, match=said):
            add()
