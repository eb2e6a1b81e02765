"""The tests shown in docs/how-to/test-your-events.md, run as they stand there."""

import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from domainstream import (
    BaseEvent,
    EventPayload,
    EventProducer,
    EventPublisherChannel,
    MemoryPublisher,
)
from domainstream.event import EventDecoder
from domainstream.outbox import Outbox
from domainstream.subscriber import AGGREGATE, create_multiple_handlers, to_queue
from domainstream.testing.event_flow import Delayed
from domainstream.worker import EventConsumer, EventContext, GiveUp, RetryLater

HOW_TO: Final = Path(__file__).parents[3] / "docs" / "how-to" / "test-your-events.md"


class Channel(EventPublisherChannel):
    """The page's channel."""

    DOMAIN_CODING_STAY_CODED = "domain_coding_stay_coded"


class StayCodedPayload(EventPayload):
    """The codes of a stay."""

    codes: list[str]


class StayCoded(BaseEvent[StayCodedPayload]):
    """The page's event."""

    event_type = "domain_coding_stay_coded"


def channel_for(event: StayCoded) -> Channel | None:
    """Publish every event."""
    return Channel.DOMAIN_CODING_STAY_CODED


def stay_coded(stay_id: str, codes: tuple[str, ...] = ("I21.0",)) -> StayCoded:
    """Return an event."""
    return StayCoded(aggregate_id=stay_id, payload=StayCodedPayload(codes=list(codes)))


async def code_stay(producer: EventProducer[StayCoded], stay_id: str) -> None:
    """Do what the page's service does."""
    await producer.publish(stay_coded(stay_id))


outbox = Outbox(channel_for=channel_for, source="coding")


def store_codes(session: Session, stay_id: str) -> None:
    """Do what a service of the page with an outbox does."""
    outbox.add(session, stay_coded(stay_id))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """The database of the page's tests."""
    engine = create_engine(f"sqlite:///{tmp_path}/test.db")
    with engine.begin() as connection:
        outbox.create_table(connection)
    yield engine
    engine.dispose()


def valuation_consumer(prices: dict[str, int]) -> EventConsumer:
    """Return a consumer that prices a stay by its codes."""
    consumer = EventConsumer("valuation")

    @consumer.on(StayCoded)
    async def price_stay(event: StayCoded, context: EventContext) -> None:
        if not event.payload.codes:
            raise GiveUp("no codes")
        prices[event.aggregate_id] = 120_000

    return consumer


def patient_consumer(prices: dict[str, int]) -> EventConsumer:
    """Return a consumer that waits for a stay to be known."""
    consumer = EventConsumer("valuation")

    @consumer.on(StayCoded)
    async def price_stay(event: StayCoded, context: EventContext) -> None:
        if event.aggregate_id not in prices:
            raise RetryLater(timedelta(minutes=5))

    return consumer


KNOWN: Final[dict[str, Any]] = {
    "AGGREGATE": AGGREGATE,
    "Channel": Channel,
    "Delayed": Delayed,
    "Engine": Engine,
    "EventDecoder": EventDecoder,
    "EventProducer": EventProducer,
    "GiveUp": GiveUp,
    "MemoryPublisher": MemoryPublisher,
    "Session": Session,
    "StayCoded": StayCoded,
    "channel_for": channel_for,
    "code_stay": code_stay,
    "create_multiple_handlers": create_multiple_handlers,
    "outbox": outbox,
    "patient_consumer": patient_consumer,
    "pytest": pytest,
    "stay_coded": stay_coded,
    "store_codes": store_codes,
    "subscriptions": create_multiple_handlers(
        {Channel.DOMAIN_CODING_STAY_CODED: [to_queue("valuation", job="price-stay")]}
    ),
    "timedelta": timedelta,
    "to_queue": to_queue,
    "valuation_consumer": valuation_consumer,
}


def shown() -> dict[str, Callable[..., Awaitable[None]]]:
    """Return the tests that the page shows, by name."""
    names = dict(KNOWN)
    for block in re.findall(r"^```python\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(block, str(HOW_TO), "exec"), names)  # noqa: S102 - our own page
    return {name: value for name, value in names.items() if name.startswith("test_")}


@pytest.mark.parametrize("name", shown())
async def test_test_on_the_page_passes(name: str, engine: Engine) -> None:
    """What the page shows is true."""
    arguments: dict[str, Any] = {"prices": {}, "engine": engine}
    test = shown()[name]
    await test(**{argument: arguments[argument] for argument in test.__annotations__ if argument != "return"})


def test_page_shows_tests() -> None:
    """They are found: an empty list would pass unseen."""
    assert len(shown()) == 9
