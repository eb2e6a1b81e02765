"""Encodes and decodes the payload of one event class.

Every payload is decoded once more before it is sent, because only that proves that consumers can read it. A mistake
then shows up in the service that made it, as an error about one event, instead of in every consumer.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NoReturn, TypeVar, get_args, get_origin, is_typeddict

import msgspec

from domainstream.errors import ConfigurationError, EventEncodingError, InvalidPayloadError
from domainstream.event.base_event import BaseEvent
from domainstream.event.json_guard import may_be_unsafe
from domainstream.event.message import EventMessage, schema_of
from domainstream.event.mismatch import ForeignMismatchError, Mismatch
from domainstream.event.payload_traits import traits_of
from domainstream.settings import MessageLimits
from domainstream.telemetry import Signal, emit
from domainstream.validation import plain_name


class PayloadCodec:
    """Encodes and decodes messages of one event class."""

    def __init__(self, event_class: type[BaseEvent[Any]]) -> None:
        self.payload_type = payload_type_of(event_class)
        """`P` of `class X(BaseEvent[P])`: a msgspec Struct, dataclass, attrs class, TypedDict or pydantic model."""
        self.event_type = _event_type_of(event_class)
        """The event type as a plain string, which is faster to encode than an enum member."""
        self.schema = schema_of(self.event_type, event_class.version)
        """The `dataschema` of the class's version."""
        encoder = msgspec.json.Encoder(enc_hook=_write_foreign)
        self._encode, self._encode_lines = encoder.encode, encoder.encode_lines
        self._decode = msgspec.json.Decoder(self.payload_type, dec_hook=_read_foreign).decode
        written: Any = msgspec.defstruct("Written", [("data", self.payload_type)], gc=False)
        self._traits = traits_of(self.payload_type)
        decoder = msgspec.json.Decoder(written, dec_hook=_read_foreign)
        self._read_back, self._read_back_lines = decoder.decode, decoder.decode_lines

    def write(self, event: BaseEvent[Any], message: EventMessage) -> tuple[bytes, bool]:
        """Return `message` as JSON, and whether decoding it yields an equal payload.

        Raises `EventEncodingError` for a payload that no consumer could decode.
        """
        try:
            data = self._encode(message)
            intact = self._read_back(data).data == event.payload
        except Exception as error:  # noqa: BLE001 - a payload type may run any code of the user's
            _reject(event, _encoding_problem(event.payload, self.payload_type, error))
        # NaN is encoded as null, and an optional field decodes that as None. Searching every payload for NaN would
        # double the cost, so only those are searched that show this very symptom.
        if not intact and b"null" in data and (problem := _non_finite_problem(event.payload)):
            _reject(event, problem)
        return data, intact

    def write_many(
        self, events: Sequence[BaseEvent[Any]], messages: Sequence[EventMessage], limits: MessageLimits
    ) -> list[bytes] | None:
        """Return the JSON of each message, at less cost than `write`; None if any of them needs a closer look."""
        if self._traits is None or self._traits.depth >= limits.max_depth:
            return None
        try:
            text = self._encode_lines(messages)
            read_back = [written.data for written in self._read_back_lines(text)]
        except Exception as error:  # noqa: BLE001 - a payload type may run any code; `write` finds the event at fault
            emit(Signal.EVENT_BATCH_SPLIT, events=len(events), error=type(error).__name__)
            return None
        lines = text.split(b"\n")[:-1]
        payloads = [event.payload for event in events]
        if read_back != payloads or max(map(len, lines)) > limits.max_bytes:
            return None
        return lines if not limits.strict_integers or self._traits.safe_for_node(payloads) else None

    def may_be_unsafe(self, payload: Any, data: bytes, limits: MessageLimits, *, intact: bool) -> bool:
        """Return, at little cost, whether consumers might reject the message `data` with that payload."""
        if not intact:
            return True
        if self._traits is None or self._traits.depth >= limits.max_depth:
            return may_be_unsafe(data.partition(b',"data":')[2], limits)
        return limits.strict_integers and not self._traits.safe_for_node((payload,))

    def read(self, message: EventMessage, payload: bytes | msgspec.Raw) -> Any:
        """Decode the payload of a message, given as JSON of the newest version; raises `InvalidPayloadError`."""
        try:
            return self._decode(payload)
        except Exception as error:  # noqa: BLE001 - a payload type may run any code of the user's
            # `from None`: the cause would quote the payload.
            mismatch = Mismatch.of(error)
            raise InvalidPayloadError(
                mismatch.path, mismatch.expected, mismatch.got, event_id=message.id, event_type=message.type
            ) from None


@cache
def payload_codec_of(event_class: type[BaseEvent[Any]]) -> PayloadCodec:
    """Return the codec of an event class; raises `ConfigurationError` if its payload or event type is missing."""
    return PayloadCodec(event_class)


def payload_type_of(event_class: type[BaseEvent[Any]]) -> Any:
    """Return `P` of `class X(BaseEvent[P])`; raises `ConfigurationError` if it is missing."""
    for base in event_class.__mro__:
        for generic in getattr(base, "__orig_bases__", ()):
            origin, arguments = get_origin(generic), get_args(generic)
            if isinstance(origin, type) and issubclass(origin, BaseEvent) and not isinstance(arguments[0], TypeVar):
                return arguments[0]
    name = event_class.__name__
    raise ConfigurationError(
        f"{name} cannot be used:", [f"it has no payload type; use class {name}(BaseEvent[{name}Payload])"]
    )


def _event_type_of(event_class: type[BaseEvent[Any]]) -> str:
    event_type = getattr(event_class, "event_type", None)
    if isinstance(event_type, str):
        return plain_name(event_type)
    raise ConfigurationError(
        f"{event_class.__name__} cannot be used:", ["it has no event_type; add: event_type = YourEventType.NAME"]
    )


def _write_foreign(value: Any) -> Any:
    """Convert a pydantic model to plain values; msgspec calls this for types that it does not know."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, warnings=False)
    raise NotImplementedError


def _read_foreign(expected_type: Any, value: Any) -> Any:
    """Convert plain values to a pydantic model; msgspec calls this for types that it does not know."""
    if not hasattr(expected_type, "model_validate"):
        raise NotImplementedError
    try:
        return expected_type.model_validate(value)
    except ValueError as error:
        raise ForeignMismatchError(expected_type, error) from None


def _reject(event: BaseEvent[Any], problem: str) -> NoReturn:
    # `from None`: the cause would quote the payload.
    raise EventEncodingError(problem, event_id=event.id, event_type=event.event_type) from None


def _encoding_problem(payload: Any, payload_type: Any, error: Exception) -> str:
    """Explain, without quoting the payload, why encoding it or decoding it again failed with `error`."""
    if isinstance(error, UnicodeEncodeError):
        return "payload or another string of the event holds a lone surrogate, which is not Unicode"
    if not isinstance(error, msgspec.ValidationError):
        return f"payload holds a value that cannot be encoded ({type(error).__name__}); use types that JSON has"
    if _is_of_other_class(payload, payload_type):
        return f"payload is {type(payload).__name__}, expected {payload_type.__name__}"
    if problem := _non_finite_problem(payload):
        return problem
    mismatch = Mismatch.of(error)
    return f"payload at ${mismatch.path.removeprefix('$.data')}: expected {mismatch.expected}, got {mismatch.got}"


def _non_finite_problem(payload: Any) -> str | None:
    """Say where a payload holds NaN or an infinity, which would be encoded as null; None if it holds neither."""
    path = next(_non_finite(payload, "$"), None)
    return f"payload at {path}: a number is NaN or infinite, which JSON does not have; use None" if path else None


def _non_finite(value: Any, path: str) -> Iterator[str]:
    """Yield the path of each such number in `value`. Paths name fields, but not dictionary keys, which are data."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path
    elif isinstance(value, dict):
        for item in value.values():
            yield from _non_finite(item, f"{path}[...]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _non_finite(item, f"{path}[{index}]")
    else:
        for name in _field_names(value):
            yield from _non_finite(getattr(value, name, None), f"{path}.{name}")


def _field_names(value: Any) -> Iterator[str]:
    """Yield the field names of a msgspec Struct, dataclass, attrs class or pydantic model; none for other values."""
    for fields in ("__struct_fields__", "__dataclass_fields__", "model_fields"):
        yield from getattr(type(value), fields, ())
    yield from (attribute.name for attribute in getattr(type(value), "__attrs_attrs__", ()))


def _is_of_other_class(payload: Any, payload_type: Any) -> bool:
    """Return whether both are record classes, but different ones; a dictionary is valid input for any record."""
    if not isinstance(payload_type, type) or is_typeddict(payload_type):
        return False
    return any(True for _ in _field_names(payload)) and not isinstance(payload, payload_type)
