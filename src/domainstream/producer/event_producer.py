"""Publishes domain events: each is mapped to its channel, encoded, and passed to the publisher."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from domainstream.channel import EventPublisherChannel
from domainstream.errors import MapperError, PublishCancelledError, PublishError, receipts_of
from domainstream.event import BaseEvent, EventEncoder
from domainstream.producer.mapper import EventClass, channel_mismatch, declared_events, verify_mapper
from domainstream.producer.port import EventPublisher, OutgoingMessage
from domainstream.receipt import Outcome, Receipt
from domainstream.settings import MessageLimits

ServiceEventT_contra = TypeVar("ServiceEventT_contra", bound=BaseEvent[Any], contravariant=True)
DEFAULT_LIMITS = MessageLimits()


class EventProducer(Generic[ServiceEventT_contra]):
    """Publishes the domain events of one service.

    Usage::

        producer = EventProducer(client, channel_for=channel_for, source="coding")
        receipt = await producer.publish(event)
        receipts = await producer.publish_many(events)  # one round trip per batch

    If the parameter of the mapper `channel_for` is annotated with the service's union of events, the whole mapper is
    verified here. In any case, each event class is checked against its channel before its first event is sent.

    Raises `MapperError` when the mapper misses an event class, or maps one to the channel of another event.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        *,
        channel_for: Callable[[ServiceEventT_contra], EventPublisherChannel | None],
        source: str,
        limits: MessageLimits = DEFAULT_LIMITS,
        trace: Callable[[], Mapping[str, str] | None] = lambda: None,
    ) -> None:
        """Create a producer that borrows `publisher` and does not close it.

        `source` is the service's name, and `limits` bounds the messages. `trace` returns the `traceparent` and
        `tracestate` of the current span, if there is one.
        """
        self._publisher = publisher
        self._channel_for = channel_for
        self._encoder = EventEncoder(source, limits)
        self._trace = trace
        # For each class that was checked, its channel and the channel's plain value: an enum's own `value` is slow.
        self._verified: dict[EventClass, tuple[EventPublisherChannel, str]] = {}
        self._events = declared_events(channel_for)
        if self._events:
            verify_mapper(channel_for)

    async def publish(self, event: ServiceEventT_contra) -> Receipt:
        """Publish one event and return its receipt: `published` with the entry's id, or `not_published`.

        Raises `PublishError` when the event was rejected or its outcome is unknown. Nothing was sent if it raises
        `EventEncodingError`, `MapperError`, `PublisherClosedError` or an error of the mapper itself.
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

        All events are mapped and encoded before the first one is sent, so an error in either step publishes nothing.
        Raises what `publish` raises; the receipts of a `PublishError` report the outcome of each event.
        """
        mapped = [(event, self._channel_of(event)) for event in events]
        outgoing = [(event, channel) for event, channel in mapped if channel is not None]
        if not outgoing:
            return _in_order(mapped, [])
        encoded = self._encoder.encode_many([event for event, _ in outgoing], self._trace())
        messages = [
            OutgoingMessage(channel, event.id, data) for (event, channel), data in zip(outgoing, encoded, strict=True)
        ]
        try:
            sent = await self._publisher.publish(messages)
        except asyncio.CancelledError as cancelled:
            raise cancelled from PublishCancelledError(_in_order(mapped, receipts_of(cancelled)))
        receipts = sent if len(sent) == len(mapped) else _in_order(mapped, sent)
        if any(receipt.outcome is not Outcome.PUBLISHED for receipt in sent):
            raise PublishError(receipts)
        return receipts

    def _channel_of(self, event: ServiceEventT_contra) -> str | None:
        """Return the value of the event's channel, None if the event stays inside the service.

        The mapper is called for every event, but the check that its channel matches the event's type is made once per
        class.
        """
        verified = self._verified.get(type(event))
        if verified is None and not isinstance(event, self._events or BaseEvent):
            # Raised before the mapper runs, because its `assert_never` would quote the event with its payload.
            expected = ", ".join(event_class.__name__ for event_class in self._events) or "subclasses of BaseEvent"
            problem = f"{type(event).__name__} is not an event of this producer, which publishes: {expected}"
            raise MapperError("Nothing was published:", [problem])
        channel = self._channel_for(event)
        if channel is None:
            return None
        if verified is None or verified[0] is not channel:
            if (mismatch := channel_mismatch(type(event), channel)) is not None:
                raise MapperError("Nothing was published, because the mapper is wrong:", [mismatch])
            self._verified[type(event)] = verified = (channel, str(channel.value))
        return verified[1]


def _not_published(event: BaseEvent[Any]) -> Receipt:
    return Receipt(event_id=event.id, outcome=Outcome.NOT_PUBLISHED)


def _in_order(mapped: Iterable[tuple[BaseEvent[Any], str | None]], sent: Iterable[Receipt]) -> list[Receipt]:
    """Merge the receipts of the events that were sent with receipts for those that stay inside the service."""
    receipts = iter(sent)
    return [_not_published(event) if channel is None else next(receipts) for event, channel in mapped]
