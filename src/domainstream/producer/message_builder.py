"""Turns events into messages: each is mapped to its channel, checked against it, and encoded.

`EventProducer` and `Outbox` do it in the same way, so that an event means the same whichever way it takes.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from domainstream.channel import EventPublisherChannel
from domainstream.channel.partitions import target_of, targets_of
from domainstream.errors import MapperError
from domainstream.event import BaseEvent, EventEncoder
from domainstream.producer.mapper import EventClass, channel_mismatch, declared_events, verify_mapper
from domainstream.producer.port import OutgoingMessage
from domainstream.settings import MessageLimits
from domainstream.telemetry import Context, tracing

ServiceEventT_contra = TypeVar("ServiceEventT_contra", bound=BaseEvent[Any], contravariant=True)
Mapped = tuple[BaseEvent[Any], OutgoingMessage | None]
"""An event with its message; None if it stays inside its service."""

Targeted = tuple[BaseEvent[Any], str | None]
"""An event and where its message goes; None if it stays inside its service."""

Trace = Callable[[], Mapping[str, str] | None]
"""Returns the context of the current span."""


class MessageBuilder(Generic[ServiceEventT_contra]):
    """Builds the messages of one service's events.

    Raises `MapperError` when the mapper misses an event class of the union in its annotation, or maps one to the
    channel of another event.
    """

    def __init__(
        self,
        *,
        channel_for: Callable[[ServiceEventT_contra], EventPublisherChannel | None],
        source: str,
        limits: MessageLimits,
        trace: Trace | None = None,
    ) -> None:
        """Map events by `channel_for`; the rest is explained at `EventProducer`."""
        self._channel_for = channel_for
        self._encoder = EventEncoder(source, limits)
        self._trace = trace or _current_context
        # For each class that was checked, its channel, and the target of its messages or those to choose from.
        self._verified: dict[EventClass, tuple[EventPublisherChannel, str, tuple[str, ...]]] = {}
        self._events = declared_events(channel_for)
        if self._events:
            verify_mapper(channel_for)

    def build(self, event: ServiceEventT_contra, target: str, context: Context | None) -> OutgoingMessage:
        """Return the message of an event that goes to `target`, made in the span of `context`.

        Raises `EventEncodingError`.
        """
        data = self._encoder.encode(event, context)
        return OutgoingMessage(target, event.id, data, event.aggregate_id, event.correlation_id)

    def build_all(self, targeted: Iterable[Targeted], context: Context | None) -> list[Mapped]:
        """Return each event with its message, in order, made in the span of `context`.

        Raises `EventEncodingError`, and then builds none.
        """
        targeted = list(targeted)
        outgoing = [event for event, target in targeted if target is not None]
        encoded = iter(self._encoder.encode_many(outgoing, context) if outgoing else ())
        return [
            (
                event,
                None
                if target is None
                else OutgoingMessage(target, event.id, next(encoded), event.aggregate_id, event.correlation_id),
            )
            for event, target in targeted
        ]

    def build_many(self, events: Iterable[ServiceEventT_contra]) -> list[Mapped]:
        """Return each event with its message, in order, made in the current span.

        Raises what `target_of` and `build` raise, and then builds none.
        """
        targeted = [(event, self.target_of(event)) for event in events]
        return self.build_all(targeted, self._trace())

    def target_of(self, event: ServiceEventT_contra) -> str | None:
        """Return where the event's message goes, None if the event stays inside the service.

        The mapper is called for every event, but the check that its channel matches the event's type is made once per
        class. Raises `MapperError` or an error of the mapper itself.
        """
        verified = self._verified.get(type(event))
        if verified is None and not isinstance(event, self._events or BaseEvent):
            # Raised before the mapper runs, because its `assert_never` would quote the event with its payload.
            expected = ", ".join(event_class.__name__ for event_class in self._events) or "subclasses of BaseEvent"
            problem = f"{type(event).__name__} is not an event of this service, whose mapper takes: {expected}"
            raise MapperError("The event was refused:", [problem])
        channel = self._channel_for(event)
        if channel is None:
            return None
        if verified is None or verified[0] is not channel:
            if (mismatch := channel_mismatch(type(event), channel)) is not None:
                raise MapperError("The event was refused, because the mapper is wrong:", [mismatch])
            targets = targets_of(str(channel.value), channel.partitions)
            only = targets[0] if len(targets) == 1 else ""
            self._verified[type(event)] = verified = (channel, only, targets)
        return verified[1] or target_of(verified[2], event.partition_key or event.aggregate_id)


def _current_context() -> Context | None:
    return tracing().context()
