"""Which event goes where: turns domain events into messages for their channels."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from domainstream.channel import EventPublisherChannel
from domainstream.errors import MapperError, PublishCancelledError, PublishError, receipts_of
from domainstream.event import BaseEvent, EventEncoder
from domainstream.producer.mapper import EventClass, declared_events, disagreement, verify_mapper
from domainstream.producer.port import EventPublisher, OutgoingMessage
from domainstream.receipt import Outcome, Receipt
from domainstream.settings import MessageLimits

ServiceEventT_contra = TypeVar("ServiceEventT_contra", bound=BaseEvent[Any], contravariant=True)
DEFAULT_LIMITS = MessageLimits()


def _no_trace() -> None:
    return None


class EventProducer(Generic[ServiceEventT_contra]):
    """Publishes the domain events of one service.

    Usage::

        producer = EventProducer(client, channel_for=channel_for, source="coding")
        receipt = await producer.publish(event)
        receipts = await producer.publish_many(events)      # one round trip for up to a batch

    The mapper `channel_for` is verified here when its parameter is annotated with the service's union of events, and in
    any case each event class is checked against its channel before its first event is sent.

    Raises `MapperError` when the mapper is not total, or sends an event to another one's channel.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        *,
        channel_for: Callable[[ServiceEventT_contra], EventPublisherChannel | None],
        source: str,
        limits: MessageLimits = DEFAULT_LIMITS,
        trace: Callable[[], Mapping[str, str] | None] = _no_trace,
    ) -> None:
        """Make a producer; it uses `publisher` and does not close it.

        `source` is the service's name, `limits` what a message may be, and `trace` returns `traceparent` and
        `tracestate` of the current span, if there is one.
        """
        self._publisher = publisher
        self._channel_for = channel_for
        self._encoder = EventEncoder(source, limits)
        self._trace = trace
        self._agreed: dict[EventClass, tuple[EventPublisherChannel, str]] = {}
        self._events = declared_events(channel_for)
        if self._events:
            verify_mapper(channel_for)

    async def publish(self, event: ServiceEventT_contra) -> Receipt:
        """Publish one event and return its receipt: `published` with the entry's id, or `not_published`.

        Raises `PublishError` when it was rejected or its fate is unknown, `EventEncodingError`, `MapperError`, or
        whatever the mapper raises, when nothing was sent, and `PublisherClosedError`.
        """
        channel = self._channel_of(event)
        if channel is None:
            return _not_published(event)
        message = OutgoingMessage(channel, event.id, self._encoder.encode(event, self._trace()))
        receipts = await self._publisher.publish((message,))
        if receipts[0].outcome is not Outcome.PUBLISHED:
            raise PublishError(receipts)
        return receipts[0]

    async def publish_many(self, events: Iterable[ServiceEventT_contra]) -> list[Receipt]:
        """Publish events in order and return one receipt each, in the order of `events`.

        The mapper runs once per event and every event is encoded before the first one is sent, so that an error in
        either publishes nothing. Raises as `publish` does; the receipts of `PublishError` tell what became of each
        event.
        """
        mapped = [(event, self._channel_of(event)) for event in events]
        messages = self._messages([(event, channel) for event, channel in mapped if channel is not None])
        if not messages:
            return _in_order(mapped, [])
        try:
            sent = await self._publisher.publish(messages)
        except asyncio.CancelledError as cancelled:
            raise cancelled from PublishCancelledError(_in_order(mapped, receipts_of(cancelled)))
        receipts = sent if len(sent) == len(mapped) else _in_order(mapped, sent)
        if any(receipt.outcome is not Outcome.PUBLISHED for receipt in sent):
            raise PublishError(receipts)
        return receipts

    def _messages(self, mapped: Sequence[tuple[ServiceEventT_contra, str]]) -> list[OutgoingMessage]:
        data = self._encoder.encode_many([event for event, _ in mapped], self._trace())
        return [OutgoingMessage(channel, event.id, one) for (event, channel), one in zip(mapped, data, strict=True)]

    def _channel_of(self, event: ServiceEventT_contra) -> str | None:
        """Ask the mapper, once, and make sure that the channel is the one of the event's type."""
        agreed = self._agreed.get(type(event))
        if agreed is None and not isinstance(event, self._events or BaseEvent):
            raise self._not_ours(event)
        channel = self._channel_for(event)
        if channel is None:
            return None
        if agreed is None or agreed[0] is not channel:
            agreed = self._agree(type(event), channel)
        return agreed[1]

    def _not_ours(self, event: object) -> MapperError:
        """Say so before the mapper's `assert_never` would quote the event, payload and all."""
        ours = ", ".join(event_class.__name__ for event_class in self._events) or "those that derive from BaseEvent"
        problem = f"{type(event).__name__} is none of the events that it publishes: {ours}"
        return MapperError("Nothing was published, because the producer has no place for it:", [problem])

    def _agree(self, event_class: EventClass, channel: EventPublisherChannel) -> tuple[EventPublisherChannel, str]:
        """Check a class once, and keep the channel's plain value: an enum's own `value` is slow."""
        problem = disagreement(event_class, channel)
        if problem is not None:
            raise MapperError("Nothing was published, because the mapper is not right:", [problem])
        self._agreed[event_class] = agreed = (channel, str(channel.value))
        return agreed


def _not_published(event: BaseEvent[Any]) -> Receipt:
    return Receipt(event_id=event.id, outcome=Outcome.NOT_PUBLISHED)


def _in_order(mapped: Iterable[tuple[BaseEvent[Any], str | None]], sent: Iterable[Receipt]) -> list[Receipt]:
    """Put the receipts of what was sent between those of what the mapper keeps inside."""
    receipts = iter(sent)
    return [_not_published(event) if channel is None else next(receipts) for event, channel in mapped]
