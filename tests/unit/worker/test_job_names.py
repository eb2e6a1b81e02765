"""Handlers that take only jobs of one name."""

import pytest
from support.consuming import OptimizationEvaluated, PricingCalculated, calculated
from support.handling import received

from domainstream.errors import ConfigurationError, HandlerNotFoundError
from domainstream.worker import EventConsumer, EventContext


class Rooms:
    """A consumer with handlers for two jobs about one event, and the calls they got."""

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
    """One event may ask one queue for several things."""
    calls = await Rooms().handle("price-room", "price-stay")
    assert calls == [("price_room", "price-room"), ("price_stay", "price-stay")]


async def test_job_of_another_name_is_an_explicit_error() -> None:
    """The error names the job and what to type."""
    said = r'no handler for OptimizationEvaluated in jobs of this name\. Type: @consumer\.on\(.*, job="price-bed"\)'
    with pytest.raises(HandlerNotFoundError, match=said):
        await Rooms().handle("price-bed")


async def test_handler_without_a_name_takes_the_rest() -> None:
    """The handler of the very name wins over the one of all names."""
    rooms = Rooms()

    @rooms.consumer.on(OptimizationEvaluated)
    async def price_anything(event: OptimizationEvaluated, context: EventContext) -> None:
        rooms.calls.append(("price_anything", context.job_name))

    calls = await rooms.handle("price-bed", "price-room")
    assert calls == [("price_anything", "price-bed"), ("price_room", "price-room")]


async def test_name_belongs_to_the_event_it_is_given_with() -> None:
    """The same job name may be used with other events."""
    rooms = Rooms()

    @rooms.consumer.on(PricingCalculated, job="price-stay")
    async def record(event: PricingCalculated, context: EventContext) -> None:
        rooms.calls.append(("record", context.job_name))

    await rooms.consumer.handle(received(calculated()))
    assert rooms.calls == [("record", "price-stay")]
    assert rooms.consumer.event_classes == (OptimizationEvaluated, PricingCalculated)


def test_second_handler_of_a_name_is_refused() -> None:
    """It would be open which of the two runs."""

    async def price_again(event: OptimizationEvaluated, context: EventContext) -> None: ...

    with pytest.raises(ConfigurationError, match="is handled by price_stay already in jobs named price-stay"):
        Rooms().consumer.on(OptimizationEvaluated, job="price-stay")(price_again)


@pytest.mark.parametrize("name", ["", 7])
def test_name_that_is_none_is_refused(name: str) -> None:
    """The error says what to type."""
    with pytest.raises(ConfigurationError, match=r"expected the name of jobs; type: @consumer\.on\("):
        EventConsumer("valuation").on(OptimizationEvaluated, job=name)


def test_nonsense_about_unhandled_jobs_is_refused() -> None:
    """A misspelt setting would fail jobs that were to be skipped."""
    with pytest.raises(ConfigurationError, match='expected "fail" or "skip"'):
        EventConsumer("valuation", unhandled="ignore")  # type: ignore[arg-type]
