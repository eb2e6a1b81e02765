"""Handlers as users register them."""

from datetime import timedelta
from typing import Any, assert_type

from domainstream import BaseEvent, EventPayload, follow_up
from domainstream.worker import (
    Done,
    ErrorHandler,
    EventConsumer,
    EventContext,
    GiveUp,
    Middleware,
    Next,
    PreparedCall,
    RetryLater,
    Wait,
)


class Payload(EventPayload):
    score: float


class Evaluated(BaseEvent[Payload]):
    event_type = "domain_coding_optimization_evaluated"


class Rejected(BaseEvent[Payload]):
    event_type = "domain_coding_optimization_rejected"


class Archived(BaseEvent[Payload]):
    event_type = "domain_coding_optimization_archived"


class Restored(BaseEvent[Payload]):
    event_type = "domain_coding_optimization_restored"


class RateLimited(Exception):
    retry_after = 5


errors = ErrorHandler(
    {
        TimeoutError: RetryLater(5),
        KeyError: GiveUp("no such stay"),
        FileExistsError: Done(),
        ConnectionError: None,
        RateLimited: lambda error, context: RetryLater(error.retry_after * context.attempt),
    }
)
consumer = EventConsumer("valuation", errors=errors, unhandled="skip", time_limit=timedelta(seconds=30))
EventConsumer("valuation", unhandled="wait")
EventConsumer("valuation", unhandled=Wait(timedelta(days=1)))


@consumer.on(Evaluated)
async def returns_nothing(event: Evaluated, context: EventContext) -> None:
    assert_type(event.payload.score, float)
    assert_type(follow_up(event, Rejected(aggregate_id="opt-1", payload=event.payload)), Rejected)
    await context.report_progress(50)


@consumer.on(Rejected)
def plain(event: Rejected, context: EventContext) -> Done:
    return Done()


@consumer.on(Evaluated, job="price-stay")
async def of_one_job(event: Evaluated, context: EventContext) -> None: ...


@consumer.on(Evaluated, job="price-room", time_limit=timedelta(seconds=5))
async def of_another_job(event: Evaluated, context: EventContext) -> Done | None: ...


@consumer.on(Archived, Restored, job="note")
async def of_two(event: Archived | Restored, context: EventContext) -> None: ...


@consumer.on(Evaluated, Rejected, Archived, time_limit=timedelta(seconds=5))
async def of_three(event: Evaluated | Rejected | Archived, context: EventContext) -> None: ...


@consumer.on(Evaluated, Rejected, Archived, Restored, job="all")
async def of_four(event: BaseEvent[Any], context: EventContext) -> None: ...


@consumer.on(Evaluated, job="any")
async def of_any(event: BaseEvent[Any], context: EventContext) -> None: ...


async def call_as_before(event: Evaluated, context: EventContext) -> None:
    """A registered function can still be called directly."""
    await returns_nothing(event, context)
    assert_type(plain(Rejected(aggregate_id="opt-1", payload=event.payload), context), Done)


class Patient(ErrorHandler):
    def outcome_of(self, error: BaseException, context: EventContext) -> RetryLater | None:
        return None if context.is_last_attempt else RetryLater(60)


EventConsumer("coding", errors=Patient())


async def measure(call: PreparedCall, call_next: Next) -> None:
    assert_type(call.context, EventContext)
    await call_next(call)


async def call_with_middlewares(event: Evaluated, context: EventContext) -> None:
    middleware: Middleware = measure
    with_middlewares = EventConsumer("coding", middlewares=[measure, middleware])
    with_middlewares.add_middleware(measure)
    await PreparedCall(event, context, returns_nothing).run()
