"""Publishes domain events: each is mapped to its channel, encoded, and passed to the publisher."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Generic

from domainstream.channel import EventPublisherChannel
from domainstream.channel.destinations import destination_of, destination_of_all
from domainstream.errors import PublishCancelledError, PublishError, receipts_of
from domainstream.event import BaseEvent
from domainstream.producer.message_builder import Mapped, MessageBuilder, ServiceEventT_contra, Trace
from domainstream.producer.port import EventPublisher
from domainstream.receipt import Outcome, Receipt
from domainstream.settings import Confirm, MessageLimits
from domainstream.telemetry import Attribute, Context, OpenSpan, Span, tracing

DEFAULT_LIMITS = MessageLimits()

# Members of enums by names of ours: each look-up in the enum would cost a publish as much as a call.
_PUBLISH, _EVENT_ID, _CORRELATION_ID = Span.PUBLISH, Attribute.MESSAGE_ID, Attribute.CONVERSATION_ID


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
        trace: Trace | None = None,
    ) -> None:
        """Create a producer that borrows `publisher` and does not close it.

        `source` is the service's name, and `limits` bounds the messages. Where OpenTelemetry is installed, each call
        has a span, whose context goes into its messages. `trace` returns another one for them, such as another
        tracer's: `traceparent` and `tracestate`, or None for none.
        """
        self._publisher = publisher
        self._builder = MessageBuilder(channel_for=channel_for, source=source, limits=limits)
        self._trace = trace

    async def publish(self, event: ServiceEventT_contra, *, confirm: Confirm | None = None) -> Receipt:
        """Publish one event and return its receipt: `published` with the entry's id, or `not_published`.

        `confirm` says how many replicas must have it: a number, "all", or "fsync" for their disks. None leaves that to
        the publisher's settings, and 0 waits for none.

        Raises `PublishError` when the event was rejected or its outcome is unknown. Nothing was sent if it raises
        `EventEncodingError`, `MapperError`, `PublisherClosedError` or an error of the mapper itself.
        """
        target = self._builder.target_of(event)
        if target is None:
            return _not_published(event)
        channel, partition = destination_of(target)
        ids = {_EVENT_ID: event.id, _CORRELATION_ID: event.correlation_id or event.id}
        with tracing().span(_PUBLISH, channel, {**ids, **partition} if partition else ids) as span:
            message = self._builder.build(event, target, self._context_in(span))
            receipts = await self._publisher.publish((message,), confirm=confirm)
            if receipts[0].outcome is not Outcome.PUBLISHED:
                raise PublishError(receipts)
            return receipts[0]

    async def publish_many(
        self, events: Iterable[ServiceEventT_contra], *, confirm: Confirm | None = None
    ) -> list[Receipt]:
        """Publish events in order and return one receipt each, in the order of `events`.

        All events are mapped and encoded before the first one is sent, so an error in either step publishes nothing.
        `confirm` is that of `publish`. Raises what `publish` raises; the receipts of a `PublishError` report the
        outcome of each event.
        """
        targeted = [(event, self._builder.target_of(event)) for event in events]
        targets = [target for _, target in targeted if target is not None]
        if not targets:
            return [_not_published(event) for event, _ in targeted]
        channel, partition = destination_of_all(targets)
        with tracing().span(_PUBLISH, channel, {Attribute.BATCH_COUNT: len(targets), **partition}) as span:
            mapped = self._builder.build_all(targeted, self._context_in(span))
            messages = [message for _, message in mapped if message is not None]
            try:
                sent = await self._publisher.publish(messages, confirm=confirm)
            except asyncio.CancelledError as cancelled:
                raise cancelled from PublishCancelledError(_in_order(mapped, receipts_of(cancelled)))
            receipts = sent if len(sent) == len(mapped) else _in_order(mapped, sent)
            if any(receipt.outcome is not Outcome.PUBLISHED for receipt in sent):
                raise PublishError(receipts)
            return receipts

    def _context_in(self, span: OpenSpan) -> Context | None:
        """Return the context of the messages that are published in a span."""
        return span.context if self._trace is None else self._trace()


def _not_published(event: BaseEvent[Any]) -> Receipt:
    return Receipt(event_id=event.id, outcome=Outcome.NOT_PUBLISHED)


def _in_order(mapped: Iterable[Mapped], sent: Iterable[Receipt]) -> list[Receipt]:
    """Merge the receipts of the events that were sent with receipts for those that stay inside the service."""
    receipts = iter(sent)
    return [_not_published(event) if message is None else next(receipts) for event, message in mapped]
