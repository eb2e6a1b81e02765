"""A small system in which order matters: a stay is coded, coded again, and cancelled, and billing follows."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, final

from domainstream import BaseEvent, EventPayload, EventProducer, EventPublisherChannel
from domainstream.producer import EventPublisher
from domainstream.queue import JobSettings
from domainstream.subscriber import AGGREGATE, Subscriptions, create_multiple_handlers, to_queue
from domainstream.worker import EventConsumer, EventContext

HISTORY = ("coded", "re-coded", "cancelled")


class Channel(EventPublisherChannel):
    """A channel for each event."""

    # In another order than the events, so that it cannot be taken for theirs.
    DOMAIN_CODING_STAY_CANCELLED = "domain_coding_stay_cancelled"
    DOMAIN_CODING_STAY_CODED = "domain_coding_stay_coded"
    DOMAIN_CODING_STAY_RECODED = "domain_coding_stay_recoded"


class EventType(StrEnum):
    """The types of the events below."""

    STAY_CODED = "domain_coding_stay_coded"
    STAY_RECODED = "domain_coding_stay_recoded"
    STAY_CANCELLED = "domain_coding_stay_cancelled"


class StayPayload(EventPayload):
    """What became of a stay."""

    status: str


@final
class StayCoded(BaseEvent[StayPayload]):
    """A stay was coded."""

    event_type = EventType.STAY_CODED


@final
class StayRecoded(BaseEvent[StayPayload]):
    """A stay was coded again."""

    event_type = EventType.STAY_RECODED


@final
class StayCancelled(BaseEvent[StayPayload]):
    """A stay was cancelled."""

    event_type = EventType.STAY_CANCELLED


StayEvent = StayCoded | StayRecoded | StayCancelled

CLASSES: dict[str, type[StayEvent]] = {"coded": StayCoded, "re-coded": StayRecoded, "cancelled": StayCancelled}


def changed(stay: str, status: str) -> StayEvent:
    """Return the event of one change."""
    return CLASSES[status](aggregate_id=stay, payload=StayPayload(status=status))


def history(stay: str, statuses: Sequence[str] = HISTORY) -> list[StayEvent]:
    """Return the events of a stay, the first one first."""
    return [changed(stay, status) for status in statuses]


def producer(publisher: EventPublisher) -> EventProducer[StayEvent]:
    """Return coding's producer."""
    return EventProducer(publisher, channel_for=lambda event: Channel(str(event.event_type)), source="coding")


def billed_in_order(**rule: Any) -> Subscriptions:
    """Return subscriptions by which billing gets the changes of a stay in order, unless `rule` says otherwise."""
    rule = {"order_by": AGGREGATE, "settings": JobSettings(attempts=3, jitter=0, priority=1), **rule}
    return create_multiple_handlers({channel: [to_queue("billing", job="bill", **rule)] for channel in Channel})


class Billing:
    """Bills stays: it notes each attempt, and raises what it is told to."""

    def __init__(
        self, errors: Mapping[tuple[str, str], Sequence[Exception]] | None = None, *, partitions: int = 1
    ) -> None:
        """Raise `errors`, one after the other, for changes of a stay: its id and what became of it."""
        self.seen: list[tuple[str, str]] = []
        """Stay and change of each attempt."""
        self.bills: dict[str, list[str]] = {}
        """What was billed of each stay, as it was handled."""
        self.errors = {change: list(each) for change, each in (errors or {}).items()}
        """What is still to be raised."""
        self.consumer = EventConsumer("billing", partitions=partitions)
        """Its handlers."""
        self.consumer.on(*CLASSES.values())(self._bill)

    async def _bill(self, event: StayEvent, context: EventContext) -> None:
        change = (event.aggregate_id, event.payload.status)
        self.seen.append(change)
        if self.errors.get(change):
            raise self.errors[change].pop(0)
        self.bills.setdefault(event.aggregate_id, []).append(event.payload.status)
