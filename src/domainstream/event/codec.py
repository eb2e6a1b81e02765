"""From typed event to CloudEvents JSON and back. Before: `event_message`; used by `producer` and `worker`."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import Raw

from domainstream.config import MessageLimits
from domainstream.errors import (
    ConfigurationError,
    EventDecodingError,
    EventEncodingError,
    HostileJsonError,
    InvalidEnvelopeError,
    InvalidEventError,
    UnknownEventTypeError,
    UnknownEventVersionError,
)
from domainstream.event.base_event import BaseEvent
from domainstream.event.event_message import JSON_CONTENT_TYPE, EventMessage, schema_of
from domainstream.event.hostile_json import SAFE_INTEGER, has_unsafe_integer, refuse_hostile_json
from domainstream.event.mismatch import Mismatch
from domainstream.event.payload_codec import payload_codec_of
from domainstream.event.upcasting import UpcasterChain

DEFAULT_LIMITS: Final = MessageLimits()

_write_envelope = msgspec.json.Encoder().encode
_read_envelope = msgspec.json.Decoder(EventMessage).decode


class EventEncoder:
    """Turns events of one service into messages.

    Attributes:

        source: Where the events come from, as the wire has it: `/services/{service}`.
    """

    def __init__(self, service: str, limits: MessageLimits = DEFAULT_LIMITS) -> None:
        self.source = f"/services/{service}"
        self._limits = limits

    def encode(self, event: BaseEvent[Any], trace: Mapping[str, str] | None = None) -> bytes:
        """Return `event` as CloudEvents 1.0 JSON, in UTF-8.

        `trace` may hold `traceparent` and `tracestate` of the current span (W3C Trace Context).
        Raises `EventEncodingError` when the payload does not fit its type or the message exceeds the limits.
        """
        payload = payload_codec_of(type(event)).write(event)
        data = _write_envelope(self._envelope(event, payload, trace or {}))
        if len(data) > self._limits.max_bytes:
            raise _unencodable(event, f"{len(data):,} bytes, at most {self._limits.max_bytes:,} are allowed")
        if self._limits.strict_integers and has_unsafe_integer(payload):
            raise _unencodable(event, f"an integer beyond ±{SAFE_INTEGER}, which Node.js would round; use a string")
        return data

    def _envelope(self, event: BaseEvent[Any], payload: bytes, trace: Mapping[str, str]) -> EventMessage:
        return EventMessage(
            id=event.id,
            source=self.source,
            type=event.event_type,
            time=event.occurred_at,
            subject=event.aggregate_id,
            datacontenttype=JSON_CONTENT_TYPE,
            dataschema=_schema_of(type(event)),
            correlationid=event.correlation_id,
            causationid=event.causation_id,
            traceparent=trace.get("traceparent"),
            tracestate=trace.get("tracestate"),
            partitionkey=event.partition_key,
            sequence=None if event.sequence is None else f"{event.sequence:020}",
            data=Raw(payload),
        )


class EventDecoder:
    """Turns messages into typed events.

    Raises `ConfigurationError` at construction when two classes share an event type, or one has no event type.
    """

    def __init__(
        self,
        event_classes: Iterable[type[BaseEvent[Any]]],
        *,
        upcasters: Iterable[UpcasterChain] = (),
        limits: MessageLimits = DEFAULT_LIMITS,
    ) -> None:
        self._classes = _by_type(list(event_classes))
        self._chains = {chain.event_class: chain for chain in upcasters}
        self._limits = limits

    def decode(self, data: bytes | str) -> BaseEvent[Any]:
        """Return the event in `data`, as an instance of the class registered for its type.

        Raises `HostileJsonError`, `InvalidEnvelopeError`, `UnknownEventTypeError`, `UnknownEventVersionError` or
        `InvalidPayloadError`: all of them `EventDecodingError`.
        """
        message = read_message(data, self._limits)
        event_class = self._class_of(message)
        try:
            return event_class(
                aggregate_id=message.subject,
                payload=self._payload(message, event_class),
                id=message.id,
                occurred_at=message.time,
                correlation_id=message.correlationid,
                causation_id=message.causationid,
                partition_key=message.partitionkey,
                sequence=None if message.sequence is None else int(message.sequence),
            )
        except InvalidEventError as error:
            raise _invalid_envelope(message, str(error)) from None

    def _class_of(self, message: EventMessage) -> type[BaseEvent[Any]]:
        event_class = self._classes.get(message.type)
        if event_class is None:
            close = get_close_matches(message.type, self._classes, n=1)
            hint = f"did you mean {close[0]}?" if close else "register its class with the decoder or the consumer"
            raise UnknownEventTypeError(f"unknown event type; {hint}", event_id=message.id, event_type=message.type)
        return event_class

    def _payload(self, message: EventMessage, event_class: type[BaseEvent[Any]]) -> Any:
        codec = payload_codec_of(event_class)
        if message.version == str(event_class.version):
            return codec.read(message)
        return codec.read_object(message, self._upcast(message, event_class))

    def _upcast(self, message: EventMessage, event_class: type[BaseEvent[Any]]) -> dict[str, Any]:
        chain = self._chains.get(event_class)
        version = int(message.version) if message.version.isdecimal() else 0
        if chain is None or version not in chain.steps:
            raise UnknownEventVersionError(
                f"version {message.version!r} cannot be read as version {event_class.version} of {event_class.__name__}; "
                f"add a step from it: UpcasterChain({event_class.__name__}, {{{version}: ...}})",
                event_id=message.id,
                event_type=message.type,
            )
        try:
            return chain.upcast(msgspec.json.decode(message.data), version)
        except Exception as error:  # an upcaster is the user's code: any exception of it means that this payload is bad
            raise EventDecodingError(
                f"the upcasters from version {version} failed with {type(error).__name__}",
                event_id=message.id,
                event_type=message.type,
            ) from None


def read_message(data: bytes | str, limits: MessageLimits = DEFAULT_LIMITS) -> EventMessage:
    """Return the envelope in `data`, its payload still as JSON text.

    Raises `HostileJsonError` or `InvalidEnvelopeError`.
    """
    raw = _utf8(data) if isinstance(data, str) else data
    refuse_hostile_json(raw, limits)
    try:
        message = _read_envelope(raw)
    except msgspec.ValidationError as error:
        raise _unreadable_envelope(raw, error) from None
    if "json" not in (message.datacontenttype or "json"):
        raise _invalid_envelope(message, "datacontenttype is not JSON")
    if message.sequence is not None and not message.sequence.isdecimal():
        raise _invalid_envelope(message, "sequence is not a number")
    return message


@cache
def _schema_of(event_class: type[BaseEvent[Any]]) -> str:
    return schema_of(event_class.event_type, event_class.version)


def _by_type(event_classes: list[type[BaseEvent[Any]]]) -> dict[str, type[BaseEvent[Any]]]:
    nameless = [cls for cls in event_classes if not isinstance(getattr(cls, "event_type", None), str)]
    named = {str(cls.event_type): cls for cls in event_classes if cls not in nameless}
    problems = [f"{cls.__name__} has no event_type; type: event_type = ..." for cls in nameless]
    problems += [
        f"{cls.__name__} and {named[cls.event_type].__name__} share the event type {cls.event_type}"
        for cls in event_classes
        if cls not in nameless and named[cls.event_type] is not cls
    ]
    if problems:
        raise ConfigurationError("These event classes cannot be told apart:", problems)
    return named


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise HostileJsonError("it holds a lone surrogate, which is not Unicode") from None


def _unencodable(event: BaseEvent[Any], why: str) -> EventEncodingError:
    return EventEncodingError(f"message has {why}", event_id=event.id, event_type=event.event_type)


def _invalid_envelope(message: EventMessage, why: str) -> InvalidEnvelopeError:
    return InvalidEnvelopeError(f"envelope: {why}", event_id=message.id, event_type=message.type)


class _Names(msgspec.Struct):
    """As much of an unreadable envelope as its error should name."""

    id: Any = None
    type: Any = None


def _unreadable_envelope(raw: bytes, error: msgspec.ValidationError) -> InvalidEnvelopeError:
    mismatch = Mismatch.of(error)
    try:
        names = msgspec.json.decode(raw, type=_Names)
    except msgspec.ValidationError:
        names = _Names()
    return InvalidEnvelopeError(
        f"envelope at {mismatch.path}: expected {mismatch.expected}, got {mismatch.got}",
        event_id=names.id if isinstance(names.id, str) else None,
        event_type=names.type if isinstance(names.type, str) else None,
    )
