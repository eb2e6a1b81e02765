"""Which handler gets which event, and with what context."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar, Union

import pytest
from support.consuming import (
    EVALUATED,
    EvaluatedPayload,
    OptimizationEvaluated,
    PricingCalculated,
    calculated,
    evaluated,
    message,
)
from support.handling import received

from domainstream.errors import ConfigurationError, EventDecodingError, HandlerNotFoundError
from domainstream.event import BaseEvent
from domainstream.worker import EventConsumer, EventContext, ReceivedJob


async def test_handler_gets_the_typed_event_and_its_context() -> None:
    """The handler gets the published event, and a context with job, attempt, stream entry and correlation."""
    consumer, calls = EventConsumer("valuation"), []

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        calls.append((event, context))

    event = evaluated(correlation_id="stay-7", causation_id="cause-1")
    await consumer.handle(received(event, attempt=2, attempts=3))
    context = EventContext(
        job_id="event-1",
        job_name="price-stay",
        attempt=2,
        channel=EVALUATED.value,
        entry_id="1700000000123-0",
        timestamp=datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC),
        correlation_id="stay-7",
        event_id=event.id,
        causation_id="cause-1",
        attempts=3,
    )
    assert calls == [(event, context)]


async def test_job_added_by_hand_has_a_context_too() -> None:
    """The context of a job that did not come through a stream has the event's type, time and id instead."""
    consumer, contexts = EventConsumer("valuation"), []

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        contexts.append(context)

    event = evaluated()
    await consumer.handle(ReceivedJob("1", "by-hand", 1, message(event).decode()))
    (context,) = contexts
    assert context.channel == EVALUATED.value
    assert context.entry_id == ""
    assert context.timestamp == event.occurred_at
    assert context.correlation_id == event.id


async def test_one_handler_may_take_several_events() -> None:
    """A handler gets the events of every class it is registered for."""
    consumer, types = EventConsumer("valuation"), []

    @consumer.on(OptimizationEvaluated, PricingCalculated)
    async def note(event: OptimizationEvaluated | PricingCalculated, context: EventContext) -> None:
        types.append(type(event))

    await consumer.handle(received(evaluated()))
    await consumer.handle(received(calculated()))
    assert types == [OptimizationEvaluated, PricingCalculated] == list(consumer.event_classes)


async def test_plain_function_runs_in_a_thread() -> None:
    """A plain function runs outside of the event loop's thread, so that blocking it stops no other handler."""
    consumer, threads = EventConsumer("valuation"), []

    @consumer.on(OptimizationEvaluated)
    def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        threads.append(threading.current_thread())

    await consumer.handle(received(evaluated()))
    assert threads != [threading.main_thread()]


async def test_decorated_function_stays_what_it_was() -> None:
    """`on` returns the function itself, so that a test can call it like any other."""
    consumer = EventConsumer("valuation")

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        """Price a stay."""

    assert consumer.on(OptimizationEvaluated)(price_stay) is price_stay


async def test_event_without_handler_is_an_explicit_error() -> None:
    """The error for an event without a handler names queue, job and type, and the decorator to use."""
    consumer = EventConsumer("valuation")
    with pytest.raises(HandlerNotFoundError, match=r"queue valuation, job price-stay \(event-1\).*@consumer\.on"):
        await consumer.handle(received(evaluated()))


@pytest.mark.parametrize("data", ["", "null", "rubbish", "{}", '{"a":1,"a":2}', "[" * 1_000])
async def test_data_that_is_not_an_event_is_rejected(data: str) -> None:
    """Whatever the queue holds, the consumer raises an `EventDecodingError`."""
    with pytest.raises(EventDecodingError):
        await EventConsumer("valuation").handle(ReceivedJob("1", "job", 1, data))


async def test_largest_event_still_fits_as_a_job() -> None:
    """The fields that a job adds to an event do not push an event within the limits beyond them."""
    consumer, handled = EventConsumer("valuation"), asyncio.Event()

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set()

    padding = 256 * 1024 - len(message(evaluated(correlation_id="")))
    await consumer.handle(received(evaluated(correlation_id="x" * padding)))
    assert handled.is_set()


def test_second_handler_of_an_event_is_rejected() -> None:
    """A second handler of one queue for one event is an error, because it would be unclear which of them runs."""
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None: ...

    with pytest.raises(ConfigurationError, match="OptimizationEvaluated is already handled by price_stay"):
        consumer.on(OptimizationEvaluated)(price_stay)


def test_classes_of_one_type_are_rejected_and_change_nothing() -> None:
    """A class that shares its event type with another is rejected, and the handlers registered before it stay."""

    class Twin(BaseEvent[EvaluatedPayload]):
        event_type = EVALUATED

    consumer = EventConsumer("valuation")

    async def handler(event: object, context: EventContext) -> None: ...

    consumer.on(OptimizationEvaluated)(handler)
    with pytest.raises(ConfigurationError, match="share the event type"):
        consumer.on(Twin)(handler)
    assert consumer.event_classes == (OptimizationEvaluated,)


def test_decorator_without_classes_is_rejected() -> None:
    """A handler without an event class is an error."""
    with pytest.raises(ConfigurationError, match="no event class is given"):
        EventConsumer("valuation").on()(print)  # type: ignore[call-overload]


@pytest.mark.parametrize("queue", ["", "a:b", "a b"])
def test_queue_names_that_bullmq_cannot_take_are_rejected(queue: str) -> None:
    """A consumer rejects the same queue names as `to_queue`."""
    with pytest.raises(ConfigurationError, match="queue"):
        EventConsumer(queue)


async def test_old_versions_are_brought_up_to_date() -> None:
    """Events of an old version reach the handler with a payload of the newest one."""

    class NewPayload(EvaluatedPayload):
        currency: str

    class NewEvaluated(BaseEvent[NewPayload]):
        event_type = EVALUATED
        version = 2
        upcasters: ClassVar = {1: lambda payload: {**payload, "currency": "EUR"}}

    consumer, payloads = EventConsumer("valuation"), []

    @consumer.on(NewEvaluated)
    async def price_stay(event: NewEvaluated, context: EventContext) -> None:
        payloads.append(event.payload)

    await consumer.handle(received(evaluated()))
    assert payloads == [NewPayload(score=0.5, currency="EUR")]


def test_decorator_without_parentheses_is_rejected() -> None:
    """`@consumer.on` without parentheses raises an error that shows the decorator to use."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None: ...

    with pytest.raises(
        ConfigurationError, match=r"'price_stay' is a function, not an event class; use @consumer\.on\(Something"
    ):
        EventConsumer("valuation").on(price_stay)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "union",
    [OptimizationEvaluated | PricingCalculated, Union[OptimizationEvaluated, PricingCalculated]],  # noqa: UP007
)
def test_union_of_classes_is_rejected(union: Any) -> None:
    """The error for a union of classes shows how to pass them one by one."""
    with pytest.raises(ConfigurationError, match=r"use @consumer\.on\(OptimizationEvaluated, PricingCalculated\)"):
        EventConsumer("valuation").on(union)


@pytest.mark.parametrize("given", ["OptimizationEvaluated", int, None])
def test_what_is_not_an_event_class_is_rejected(given: Any) -> None:
    """The error names the argument that is not an event class, and the decorator to use."""
    with pytest.raises(ConfigurationError, match=r"is not an event class; use @consumer\.on\(SomethingHappened\)"):
        EventConsumer("valuation").on(given)


@pytest.mark.parametrize("handler", [lambda _event: None, lambda _event, _context, _more: None, "price_stay"])
def test_handler_that_cannot_take_event_and_context_is_rejected(handler: Any) -> None:
    """A wrong signature is an error when the handler is registered, not at its first event."""
    with pytest.raises(ConfigurationError, match=r"(?s)The handler '.*cannot take an event and a context: .*use async"):
        EventConsumer("valuation").on(OptimizationEvaluated)(handler)


async def async_generator(event: OptimizationEvaluated, context: EventContext) -> AsyncIterator[None]:
    """Do nothing until iterated."""
    yield


def generator(event: OptimizationEvaluated, context: EventContext) -> Iterator[None]:
    """Do nothing until iterated."""
    yield


@pytest.mark.parametrize("handler", [async_generator, generator])
def test_handler_that_yields_is_rejected(handler: Any) -> None:
    """A generator is rejected: calling it does nothing, and its jobs would be completed unhandled."""
    with pytest.raises(ConfigurationError, match="it yields, so calling it would do nothing; remove the yield"):
        EventConsumer("valuation").on(OptimizationEvaluated)(handler)
