"""Encodes typed events as CloudEvents JSON, and decodes them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from domainstream.errors import (
    ConfigurationError,
    EventDecodingError,
    HostileJsonError,
    InvalidEnvelopeError,
    InvalidEventError,
    UnknownEventTypeError,
    UnknownEventVersionError,
)
from domainstream.event.base_event import SEQUENCE_DIGITS, BaseEvent, event_type_of
from domainstream.event.json_guard import guard_json
from domainstream.event.message import JSON_CONTENT_TYPE, EventMessage
from domainstream.event.mismatch import Mismatch
from domainstream.event.payload_codec import PayloadCodec, payload_codec_of
from domainstream.event.upcasting import Upcast, UpcasterChain, upcast
from domainstream.settings import MessageLimits
from domainstream.validation import plain_name

DEFAULT_LIMITS: Final = MessageLimits()
_JSON_TYPE: Final = re.compile(r"[^;]*[/+]json\s*(;.*)?", re.IGNORECASE | re.DOTALL).fullmatch
_SEQUENCE: Final = re.compile(rf"[0-9]{{1,{SEQUENCE_DIGITS}}}").fullmatch
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}").fullmatch
_NO_TRACE: Final[Mapping[str, str]] = {}

_read_envelope = msgspec.json.Decoder(EventMessage).decode


class EventEncoder:
    """Encodes the events of one service."""

    def __init__(self, service: str, limits: MessageLimits = DEFAULT_LIMITS) -> None:
        service = plain_name(service)
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", service):
            problem = f"source must be a service name of letters, digits, '_', '-' and '.', got {service!r}"
            raise ConfigurationError("EventEncoder cannot be used:", [problem])
        self.source = f"/services/{service}"
        """The CloudEvents `source` of every event: `/services/{service}`."""
        self._limits = limits

    def encode(self, event: BaseEvent[Any], trace: Mapping[str, str] | None = None) -> bytes:
        """Return `event` as CloudEvents 1.0 JSON in UTF-8.

        `trace` may hold the `traceparent` and `tracestate` of the current span (W3C Trace Context).
        Raises `EventEncodingError` when consumers could not read the payload as it is meant, or the message exceeds the
        limits.
        """
        codec = payload_codec_of(type(event))
        return codec.write(event, self._message(event, codec, trace or _NO_TRACE), self._limits)

    def encode_many(self, events: Sequence[BaseEvent[Any]], trace: Mapping[str, str] | None = None) -> list[bytes]:
        """Encode each event as `encode` does, faster when all are of one class; raises what `encode` raises."""
        classes = {type(event) for event in events}
        if len(classes) == 1:
            codec = payload_codec_of(classes.pop())
            messages = [self._message(event, codec, trace or _NO_TRACE) for event in events]
            if (data := codec.write_many(events, messages, self._limits)) is not None:
                return data
        return [self.encode(event, trace) for event in events]

    def _message(self, event: BaseEvent[Any], codec: PayloadCodec, trace: Mapping[str, str]) -> EventMessage:
        return EventMessage(
            specversion="1.0",
            id=event.id,
            source=self.source,
            type=codec.event_type,
            time=event.occurred_at,
            subject=event.aggregate_id,
            datacontenttype=JSON_CONTENT_TYPE,
            dataschema=codec.schema,
            correlationid=event.correlation_id,
            causationid=event.causation_id,
            traceparent=trace.get("traceparent"),
            tracestate=trace.get("tracestate"),
            partitionkey=event.partition_key,
            sequence=None if event.sequence is None else f"{event.sequence:0{SEQUENCE_DIGITS}}",
            data=event.payload,
        )


class EventDecoder:
    """Decodes messages into typed events; payloads of old versions go through the `upcasters` of their class.

    The parameter `upcasters` is deprecated, as `UpcasterChain` is.

    Raises `ConfigurationError` at construction when two classes share an event type, a class lacks an event type or a
    payload type, its payload cannot be read, or its upcasters are given twice.
    """

    def __init__(
        self,
        event_classes: Iterable[type[BaseEvent[Any]]],
        *,
        upcasters: Iterable[UpcasterChain] = (),
        limits: MessageLimits = DEFAULT_LIMITS,
    ) -> None:
        self._classes = _by_type(list(event_classes))
        for event_class in self._classes.values():
            payload_codec_of(event_class)
        self._steps = _steps_of(self._classes.values(), list(upcasters))
        self._limits = limits

    def decode(self, data: bytes | str) -> BaseEvent[Any]:
        """Return the event in `data` as an instance of the class registered for its type.

        Raises an `EventDecodingError`: `HostileJsonError`, `InvalidEnvelopeError`, `UnknownEventTypeError`,
        `UnknownEventVersionError` or `InvalidPayloadError`.
        """
        message = read_message(data, self._limits)
        event_class = self._classes.get(message.type)
        if event_class is None:
            close = get_close_matches(message.type, self._classes, n=1)
            hint = f"did you mean {close[0]}?" if close else "register its class with the decoder or the consumer"
            raise UnknownEventTypeError(f"unknown event type; {hint}", event_id=message.id, event_type=message.type)
        is_newest = message.version == str(event_class.version)
        payload = message.data if is_newest else self._upcast(message, event_class)
        try:
            return event_class(
                aggregate_id=message.subject,
                payload=payload_codec_of(event_class).read(message, payload),
                id=message.id,
                occurred_at=message.time,
                correlation_id=message.correlationid,
                causation_id=message.causationid,
                partition_key=message.partitionkey,
                sequence=None if message.sequence is None else int(message.sequence),
            )
        except InvalidEventError:
            raise _invalid_envelope(message, "time is outside the years 1 to 9999 in UTC") from None

    def _upcast(self, message: EventMessage, event_class: type[BaseEvent[Any]]) -> bytes:
        steps = self._steps.get(event_class, event_class.upcasters)
        version = int(message.version) if _VERSION(message.version) else None
        if version is None or version not in steps:
            raise UnknownEventVersionError(
                _version_problem(version, event_class),
                version=version,
                event_id=message.id,
                event_type=message.type,
            )
        try:
            return msgspec.json.encode(upcast(msgspec.json.decode(message.data), steps, version))
        except Exception as error:  # noqa: BLE001 - upcasters are the user's code
            raise EventDecodingError(
                f"the upcasters from version {version} failed with {type(error).__name__}",
                event_id=message.id,
                event_type=message.type,
            ) from None


def read_message(data: bytes | str, limits: MessageLimits = DEFAULT_LIMITS) -> EventMessage:
    """Return the envelope in `data`; its payload is still JSON text.

    Raises `HostileJsonError` or `InvalidEnvelopeError`.
    """
    try:
        raw = data.encode() if isinstance(data, str) else data
    except UnicodeEncodeError:
        raise HostileJsonError("it holds a lone surrogate, which is not Unicode") from None
    guard_json(raw, limits)
    try:
        message = _read_envelope(raw)
    except msgspec.ValidationError as error:
        mismatch = Mismatch.of(error)
        problem = f"envelope at {mismatch.path}: expected {mismatch.expected}, got {mismatch.got}"
        raise InvalidEnvelopeError(problem, **_identity(raw)) from None
    if message.datacontenttype and not _JSON_TYPE(message.datacontenttype):
        raise _invalid_envelope(message, "datacontenttype must be JSON")
    if message.sequence is not None and not _SEQUENCE(message.sequence):
        raise _invalid_envelope(message, f"sequence must be a number of at most {SEQUENCE_DIGITS} digits")
    return message


def _by_type(event_classes: list[type[BaseEvent[Any]]]) -> dict[str, type[BaseEvent[Any]]]:
    types = {cls: event_type_of(cls) for cls in event_classes}
    by_type = {event_type: cls for cls, event_type in types.items() if event_type}
    problems = [
        f"{cls.__name__} has no event_type; add: event_type = YourEventType.NAME"
        for cls, event_type in types.items()
        if not event_type
    ]
    problems += [
        f"{cls.__name__} and {by_type[event_type].__name__} share the event type {event_type}"
        for cls, event_type in types.items()
        if event_type and by_type[event_type] is not cls
    ]
    if problems:
        raise ConfigurationError("The event types of these classes are missing or ambiguous:", problems)
    return by_type


def _steps_of(
    event_classes: Iterable[type[BaseEvent[Any]]], chains: list[UpcasterChain]
) -> dict[type[BaseEvent[Any]], Mapping[int, Upcast]]:
    """Return the steps of the classes that get them from a chain."""
    classes = [chain.event_class for chain in chains]
    duplicates = sorted({cls.__name__ for cls in classes if classes.count(cls) > 1})
    problems = [f"{name} has two chains; join them" for name in duplicates]
    problems += [
        f"{cls.__name__} has upcasters of its own; remove UpcasterChain({cls.__name__}, ...)"
        for cls in event_classes
        if cls.upcasters and cls in classes
    ]
    if problems:
        raise ConfigurationError("These upcasters cannot be used:", problems)
    return {chain.event_class: chain.steps for chain in chains}


def _version_problem(version: int | None, event_class: type[BaseEvent[Any]]) -> str:
    name, newest = event_class.__name__, event_class.version
    if version is None:
        return f"dataschema does not end in a version; {name} is at version {newest}"
    if version > newest:
        return f"version {version} is newer than version {newest} of {name}; update this service"
    return (
        f"no upcaster from version {version} to {newest}; add it in class {name}: upcasters = {{{version}: function}}"
    )


def _invalid_envelope(message: EventMessage, problem: str) -> InvalidEnvelopeError:
    return InvalidEnvelopeError(f"envelope: {problem}", event_id=message.id, event_type=message.type)


def _identity(raw: bytes) -> dict[str, str | None]:
    """Return id and type of an unreadable envelope, as far as they are there; an error names its event by them."""
    message = msgspec.json.decode(raw)
    found = message if isinstance(message, dict) else {}
    names = {"event_id": found.get("id"), "event_type": found.get("type")}
    return {name: value if isinstance(value, str) else None for name, value in names.items()}
