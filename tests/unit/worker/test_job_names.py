"""Handlers that take only jobs of one name."""

from datetime import timedelta

import pytest
from support.consuming import OptimizationEvaluated, PricingCalculated, calculated
from support.handling import received

from domainstream.errors import ConfigurationError, HandlerNotFoundError
from domainstream.worker import EventConsumer, EventContext, Wait


class Rooms:
    """A consumer with handlers for two jobs of one event, and the calls they got."""

    def __init__(self) -> None:
        self.consumer = EventConsumer("valuation")
        self.calls: list[tuple[str, str]] = []

        @self.consumer.on(OptimizationEvaluated, job="price-stay")
        async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
            self.calls.append(("price_stay", context.job_name))

        @self.consumer.on(OptimizationEvaluated, job="price-room")
        async def price_room(event: OptimizationEvaluated, context: EventContext) -> None:
            self.calls.append(("price_room", context.job_name))

    async def handle(self, *names: str) -> list[tuple[str, str]]:
        """Handle jobs of these names and return the calls."""
        for name in names:
            await self.consumer.handle(received(name=name))
        return self.calls


async def test_each_job_reaches_the_handler_of_its_name() -> None:
    """One event may lead to several jobs of one queue, each with a handler of its own."""
    calls = await Rooms().handle("price-room", "price-stay")
    assert calls == [("price_room", "price-room"), ("price_stay", "price-stay")]


async def test_job_of_another_name_is_an_explicit_error() -> None:
    """The error for a job name without a handler shows the decorator to use."""
    said = r'no handler for OptimizationEvaluated in jobs of this name\. Use @consumer\.on\(.*, job="price-bed"\)'
    with pytest.raises(HandlerNotFoundError, match=said):
        await Rooms().handle("price-bed")


async def test_handler_without_a_name_takes_the_rest() -> None:
    """A handler without a job name gets the jobs that no handler of their name takes."""
    rooms = Rooms()

    @rooms.consumer.on(OptimizationEvaluated)
    async def price_anything(event: OptimizationEvaluated, context: EventContext) -> None:
        rooms.calls.append(("price_anything", context.job_name))

    calls = await rooms.handle("price-bed", "price-room")
    assert calls == [("price_anything", "price-bed"), ("price_room", "price-room")]


async def test_name_belongs_to_the_event_it_is_given_with() -> None:
    """A job name may be used with several events."""
    rooms = Rooms()

    @rooms.consumer.on(PricingCalculated, job="price-stay")
    async def record(event: PricingCalculated, context: EventContext) -> None:
        rooms.calls.append(("record", context.job_name))

    await rooms.consumer.handle(received(calculated()))
    assert rooms.calls == [("record", "price-stay")]
    assert rooms.consumer.event_classes == (OptimizationEvaluated, PricingCalculated)


def test_second_handler_of_a_name_is_rejected() -> None:
    """A second handler of one event and job name is an error, because it would be unclear which of them runs."""

    async def price_again(event: OptimizationEvaluated, context: EventContext) -> None: ...

    with pytest.raises(ConfigurationError, match="is already handled by price_stay in jobs named price-stay"):
        Rooms().consumer.on(OptimizationEvaluated, job="price-stay")(price_again)


@pytest.mark.parametrize("name", ["", 7])
def test_invalid_job_name_is_rejected(name: str) -> None:
    """The error for an invalid job name shows the decorator to use."""
    with pytest.raises(ConfigurationError, match=r"expected the name of jobs; use @consumer\.on\("):
        EventConsumer("valuation").on(OptimizationEvaluated, job=name)


def test_invalid_unhandled_is_rejected() -> None:
    """A misspelt `unhandled` is an error, because it would fail jobs that should be skipped."""
    with pytest.raises(ConfigurationError, match='expected "wait", "fail", "skip" or Wait'):
        EventConsumer("valuation", unhandled="ignore")  # type: ignore[arg-type]


def test_invalid_limit_of_waiting_is_rejected() -> None:
    """A limit that makes no sense is an error at start-up, not a week later."""
    with pytest.raises(ConfigurationError, match="the limit of Wait is 0:00:00, expected a positive timedelta"):
        EventConsumer("valuation", unhandled=Wait(timedelta(0)))
