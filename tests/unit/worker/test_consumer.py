"""Which handler gets which event, and with what context."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, Union

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
from domainstream.event import BaseEvent, UpcasterChain
from domainstream.worker import EventConsumer, EventContext, ReceivedJob


async def test_handler_gets_the_typed_event_and_its_context() -> None:
    """The event equals the published one; the context tells job, attempt, stream entry and correlation."""
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
    """A job that came through no stream names its event's type, time and id instead."""
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
    """Each of the classes it is registered for reaches it."""
    consumer, types = EventConsumer("valuation"), []

    @consumer.on(OptimizationEvaluated, PricingCalculated)
    async def note(event: OptimizationEvaluated | PricingCalculated, context: EventContext) -> None:
        types.append(type(event))

    await consumer.handle(received(evaluated()))
    await consumer.handle(received(calculated()))
    assert types == [OptimizationEvaluated, PricingCalculated] == list(consumer.event_classes)


async def test_plain_function_runs_in_a_thread() -> None:
    """A handler that blocks does not stop the event loop."""
    consumer, threads = EventConsumer("valuation"), []

    @consumer.on(OptimizationEvaluated)
    def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        threads.append(threading.current_thread())

    await consumer.handle(received(evaluated()))
    assert threads != [threading.main_thread()]


async def test_decorated_function_stays_what_it_was() -> None:
    """A handler can be called by a test as any other function."""
    consumer = EventConsumer("valuation")

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        """Price a stay."""

    assert consumer.on(OptimizationEvaluated)(price_stay) is price_stay


async def test_event_without_handler_is_an_explicit_error() -> None:
    """The error names queue, job and type, and what to type."""
    consumer = EventConsumer("valuation")
    with pytest.raises(HandlerNotFoundError, match=r"queue valuation, job price-stay \(event-1\).*@consumer\.on"):
        await consumer.handle(received(evaluated()))


@pytest.mark.parametrize("data", ["", "null", "rubbish", "{}", '{"a":1,"a":2}', "[" * 1_000])
async def test_data_that_is_no_event_is_refused(data: str) -> None:
    """Whatever somebody puts into the queue, the answer is an error of ours."""
    with pytest.raises(EventDecodingError):
        await EventConsumer("valuation").handle(ReceivedJob("1", "job", 1, data))


async def test_largest_event_still_fits_as_a_job() -> None:
    """What a job's data adds to an event does not push an event within the limits beyond them."""
    consumer, handled = EventConsumer("valuation"), asyncio.Event()

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set()

    padding = 256 * 1024 - len(message(evaluated(correlation_id="")))
    await consumer.handle(received(evaluated(correlation_id="x" * padding)))
    assert handled.is_set()


def test_second_handler_of_an_event_is_refused() -> None:
    """Two handlers of one queue for one event would leave open which runs."""
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None: ...

    with pytest.raises(ConfigurationError, match="OptimizationEvaluated is handled by price_stay already"):
        consumer.on(OptimizationEvaluated)(price_stay)


def test_classes_of_one_type_are_refused_and_change_nothing() -> None:
    """Two classes that share an event type cannot be told apart; what was registered before stays."""

    class Twin(BaseEvent[EvaluatedPayload]):
        event_type = EVALUATED

    consumer = EventConsumer("valuation")

    async def handler(event: object, context: EventContext) -> None: ...

    consumer.on(OptimizationEvaluated)(handler)
    with pytest.raises(ConfigurationError, match="share the event type"):
        consumer.on(Twin)(handler)
    assert consumer.event_classes == (OptimizationEvaluated,)


def test_decorator_without_classes_is_refused() -> None:
    """A handler for nothing is a mistake."""
    with pytest.raises(ConfigurationError, match="no event class is given"):
        EventConsumer("valuation").on()(print)  # type: ignore[call-overload]


@pytest.mark.parametrize("queue", ["", "a:b", "a b"])
def test_queue_names_that_bullmq_cannot_take_are_refused(queue: str) -> None:
    """The same rule as for `to_queue`."""
    with pytest.raises(ConfigurationError, match="queue"):
        EventConsumer(queue)


async def test_old_versions_are_brought_up_to_date() -> None:
    """Events of an old version reach the handler in the newest shape."""

    class NewPayload(EvaluatedPayload):
        currency: str

    class NewEvaluated(BaseEvent[NewPayload]):
        event_type = EVALUATED
        version = 2

    chain = UpcasterChain(NewEvaluated, {1: lambda payload: {**payload, "currency": "EUR"}})
    consumer, payloads = EventConsumer("valuation", upcasters=[chain]), []

    @consumer.on(NewEvaluated)
    async def price_stay(event: NewEvaluated, context: EventContext) -> None:
        payloads.append(event.payload)

    await consumer.handle(received(evaluated()))
    assert payloads == [NewPayload(score=0.5, currency="EUR")]


def test_decorator_without_parentheses_is_refused() -> None:
    """`@consumer.on` is given the function itself, and says what to type above it."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None: ...

    with pytest.raises(ConfigurationError, match=r"the function 'price_stay' is given.*@consumer\.on\(Something"):
        EventConsumer("valuation").on(price_stay)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "union",
    [OptimizationEvaluated | PricingCalculated, Union[OptimizationEvaluated, PricingCalculated]],  # noqa: UP007
)
def test_union_of_classes_is_refused(union: Any) -> None:
    """The error says how its classes are given one by one."""
    with pytest.raises(ConfigurationError, match=r"type: @consumer\.on\(OptimizationEvaluated, PricingCalculated\)"):
        EventConsumer("valuation").on(union)


@pytest.mark.parametrize("given", ["OptimizationEvaluated", int, None])
def test_what_is_no_event_class_is_refused(given: Any) -> None:
    """A text or another class is named, with what to type instead."""
    with pytest.raises(ConfigurationError, match=r"is no event class; type: @consumer\.on\(SomethingHappened\)"):
        EventConsumer("valuation").on(given)


@pytest.mark.parametrize("handler", [lambda _event: None, lambda _event, _context, _more: None, "price_stay"])
def test_handler_that_cannot_take_event_and_context_is_refused(handler: Any) -> None:
    """A wrong signature shows when the handler is registered, not at its first event."""
    with pytest.raises(
        ConfigurationError, match=r"(?s)The handler '.*cannot take an event and a context: .*type: async"
    ):
        EventConsumer("valuation").on(OptimizationEvaluated)(handler)


async def async_generator(event: OptimizationEvaluated, context: EventContext) -> AsyncIterator[None]:
    """Do nothing until somebody iterates."""
    yield


def generator(event: OptimizationEvaluated, context: EventContext) -> Iterator[None]:
    """Do nothing until somebody iterates."""
    yield


@pytest.mark.parametrize("handler", [async_generator, generator])
def test_handler_that_yields_is_refused(handler: Any) -> None:
    """Calling it does nothing, and its jobs would be completed without having been handled."""
    with pytest.raises(ConfigurationError, match="it yields, so that calling it would do nothing; remove the yield"):
        EventConsumer("valuation").on(OptimizationEvaluated)(handler)
