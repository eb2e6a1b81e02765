"""Encodes and decodes the payload of one event class.

Every payload is decoded once more before it is sent, because only that proves that consumers can read it. A mistake
then shows up in the service that made it, as an error about one event, instead of in every consumer.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any, Final, NoReturn, TypeVar, get_args, get_origin, is_typeddict

import msgspec
import msgspec.inspect

from domainstream.errors import ConfigurationError, EventEncodingError, HostileJsonError, InvalidPayloadError
from domainstream.event.base_event import BaseEvent, event_type_of
from domainstream.event.foreign_types import dump_foreign, read_foreign, write_foreign
from domainstream.event.json_guard import guard_json, has_unsafe_integer, may_be_unsafe
from domainstream.event.message import EventMessage, schema_of
from domainstream.event.mismatch import Mismatch
from domainstream.event.payload_faults import fault_of, fields_of, unwritable, write_error
from domainstream.event.payload_traits import Times, times_of, traits_of, types_in
from domainstream.event.payload_types import payload_type_problems
from domainstream.settings import MessageLimits
from domainstream.telemetry import Signal, emit
from domainstream.validation import raise_problems

_DATA: Final = b',"data":'
_CLOCK: Final = re.compile(rb":\d\d:\d\d").search
"""Finds what may be a time in JSON."""

_NAIVE_TEXT: Final = re.compile(rb':\d\d(?<![+-]\d\d:\d\d)(?:\.\d+)?"').search
"""Finds what may be a time without offset in JSON."""


class PayloadCodec:
    """Encodes and decodes messages of one event class."""

    def __init__(self, event_class: type[BaseEvent[Any]]) -> None:
        self.payload_type = payload_type_of(event_class)
        """`P` of `class X(BaseEvent[P])`: a msgspec Struct, dataclass, attrs class, TypedDict or pydantic model."""
        event_type = event_type_of(event_class)
        no_type = None if event_type else "it has no event_type; add: event_type = YourEventType.NAME"
        raise_problems(event_class.__name__, [no_type, *payload_type_problems(self.payload_type)])
        self.event_type = event_type
        """The event type as a plain string, which is faster to encode than an enum member."""
        self.schema = schema_of(self.event_type, event_class.version)
        """The `dataschema` of the class's version."""
        encoder = msgspec.json.Encoder(enc_hook=write_foreign)
        self._encode, self._encode_lines = encoder.encode, encoder.encode_lines
        self._decode = msgspec.json.Decoder(self.payload_type, dec_hook=read_foreign).decode
        written: Any = msgspec.defstruct("Written", [("data", self.payload_type)], gc=False)
        decoder = msgspec.json.Decoder(written, dec_hook=read_foreign)
        self._read_back, self._read_back_lines = decoder.decode, decoder.decode_lines
        self._dump = msgspec.msgpack.Encoder(enc_hook=dump_foreign).encode
        self._plain = partial(msgspec.to_builtins, enc_hook=dump_foreign)
        self._is_model = hasattr(self.payload_type, "model_dump")
        self._holds_raw = any(isinstance(part, msgspec.inspect.RawType) for part in types_in(self.payload_type))
        self._traits = traits_of(self.payload_type)
        times = times_of(self.payload_type)
        self._times_anywhere = times is Times.ANYWHERE
        self._times = None if isinstance(times, Times) else times

    def write(self, event: BaseEvent[Any], message: EventMessage, limits: MessageLimits) -> bytes:
        """Return `message` as JSON; raises `EventEncodingError` for one that no consumer could read as it is meant."""
        payload = event.payload
        try:
            data = self._encode(message)
            read_back = self._read_back(data).data
        except Exception as error:  # noqa: BLE001 - a payload type may run any code of the user's
            _reject(event, self._encoding_problem(message, payload, error))
        # Models compare slowly, and their dumps have no key twice. They are only searched for NaN, which becomes null.
        is_model = self._is_model and type(payload) is self.payload_type
        same = not is_model and not self._holds_raw and self._is_same(payload, read_back)
        equal = same or (b"null" not in data if is_model else self._is_equal(payload, read_back))
        # Searching every payload for NaN and for times without zone would double the cost, so only those are searched
        # that are not read back alike, or that hold a time which is not plainly in UTC.
        if not equal or not self._keeps_times(payload, data):
            fault = fault_of(payload, allow_naive=limits.allow_naive)
            # A text that is passed where a datetime is declared is read as one.
            if fault is None and not is_model and _NAIVE_TEXT(data, data.find(_DATA)):
                fault = fault_of(read_back, allow_naive=limits.allow_naive)
            if fault is not None:
                _reject(event, fault)
        # The guard costs as much as encoding. It only runs if the type and size of the payload do not rule out that a
        # consumer's guard rejects the message.
        safe = (equal or is_model) and not self._holds_raw and len(data) <= limits.max_bytes
        if not safe or self._may_be_unsafe(read_back if same else None, data, limits):
            try:
                guard_json(data, limits)
            except HostileJsonError as error:
                _reject(event, f"consumers would reject the message: {error.reason}")
        return data

    def write_many(
        self, events: Sequence[BaseEvent[Any]], messages: Sequence[EventMessage], limits: MessageLimits
    ) -> list[bytes] | None:
        """Return the JSON of each message, at less cost than `write`; None if any of them needs a closer look."""
        if self._traits is None or self._traits.depth >= limits.max_depth or self._times_anywhere:
            return None
        payloads = [event.payload for event in events]
        try:
            text = self._encode_lines(messages)
            read_back = [written.data for written in self._read_back_lines(text)]
            keep_times = self._times is None or all(map(self._times, payloads))
        except Exception as error:  # noqa: BLE001 - a payload type may run any code; `write` finds the event at fault
            emit(Signal.EVENT_BATCH_SPLIT, events=len(events), error=type(error).__name__)
            return None
        lines = text.split(b"\n")[:-1]
        if not keep_times or max(map(len, lines)) > limits.max_bytes:
            return None
        if not self._is_same(payloads, read_back):
            equal = self._is_equal(payloads, read_back)
            return lines if equal and not (limits.strict_integers and has_unsafe_integer(text)) else None
        exact = self._traits.exact_in_node
        return lines if exact is None or not limits.strict_integers or all(map(exact, read_back)) else None

    def _is_same(self, payload: Any, read_back: Any) -> bool:
        """Return whether both have the same values, without asking an `__eq__`, which may be the user's code.

        MessagePack serves as the comparison: it has NaN, distinguishes 1 and 1.0, and writes a datetime as its moment.
        """
        same: object
        try:
            same = self._dump(payload) == self._dump(read_back)
        except Exception as error:  # noqa: BLE001 - what only JSON can write, such as large integers, is compared below
            same = error
        return same is True

    def _is_equal(self, payload: Any, read_back: Any) -> bool:
        """Return whether both are equal as plain Python values, where 1 and 1.0 are equal and times are strings."""
        equal: object
        try:
            equal = self._plain(payload) == self._plain(read_back)
        except Exception as error:  # noqa: BLE001 - a payload type may run any code of the user's
            equal = error
        return equal is True

    def _keeps_times(self, payload: Any, data: bytes) -> bool:
        """Return whether all times of the payload surely keep their moment on the wire."""
        if self._times is None:
            return not self._times_anywhere or not _CLOCK(data, data.find(_DATA))
        kept: object
        try:
            kept = self._times(payload)
        except Exception as error:  # noqa: BLE001 - the payload is of another type than declared, and is searched
            kept = error
        return kept is True

    def _may_be_unsafe(self, read_back: Any, data: bytes, limits: MessageLimits) -> bool:
        """Return, at little cost, whether consumers might reject `data`; `read_back` is None if it proves nothing."""
        if self._traits is None or self._traits.depth >= limits.max_depth:
            return may_be_unsafe(data.partition(_DATA)[2], limits)
        if read_back is None:
            return limits.strict_integers and has_unsafe_integer(data)
        exact = self._traits.exact_in_node
        return exact is not None and limits.strict_integers and not exact(read_back)

    def _encoding_problem(self, message: EventMessage, payload: Any, error: Exception) -> str:
        """Explain, without quoting the payload, why encoding it or decoding it again failed with `error`."""
        if isinstance(error, RecursionError):
            return "payload nests deeper than can be encoded, or contains itself (RecursionError)"
        if not isinstance(error, msgspec.ValidationError):
            place = next((field for field, value in _texts_of(message) if write_error(value, self._encode)), None)
            place = place or f"payload at {unwritable(payload, self._encode)}"
            if isinstance(error, UnicodeEncodeError):
                return f"{place} holds a lone surrogate, which is not Unicode"
            return f"{place} holds a value that cannot be encoded ({type(error).__name__}); use types that JSON has"
        # A dictionary is valid input for any record.
        is_record = fields_of(type(payload)) and not is_typeddict(self.payload_type)
        if is_record and isinstance(self.payload_type, type) and not isinstance(payload, self.payload_type):
            return f"payload is {type(payload).__name__}, expected {self.payload_type.__name__}"
        if fault := fault_of(payload, allow_naive=True):
            return fault
        mismatch = Mismatch.of(error)
        return f"payload at ${mismatch.path.removeprefix('$.data')}: expected {mismatch.expected}, got {mismatch.got}"

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
    """Return the codec of an event class; raises `ConfigurationError` for an event class that cannot be used.

    That is one without payload type or event type, and one with a payload type that cannot be written or read.
    """
    return PayloadCodec(event_class)


def verify_payload(event_class: type[BaseEvent[Any]]) -> None:
    """Raise `ConfigurationError` if payloads of an event class cannot be written or read.

    A generic class that leaves its payload open is accepted.
    """
    if _declared_payload(event_class) is not None:
        payload_codec_of(event_class)


def payload_type_of(event_class: type[BaseEvent[Any]]) -> Any:
    """Return `P` of `class X(BaseEvent[P])`; raises `ConfigurationError` if it is missing."""
    declared = _declared_payload(event_class)
    if declared is None:
        name = event_class.__name__
        problem = f"it has no payload type; use class {name}(BaseEvent[{name}Payload])"
        raise ConfigurationError(f"{name} cannot be used:", [problem])
    return declared[0]


def _declared_payload(event_class: type[BaseEvent[Any]]) -> tuple[Any] | None:
    for base in event_class.__mro__:
        for generic in getattr(base, "__orig_bases__", ()):
            origin, arguments = get_origin(generic), get_args(generic)
            if isinstance(origin, type) and issubclass(origin, BaseEvent) and not isinstance(arguments[0], TypeVar):
                return (arguments[0],)
    return None


def _reject(event: BaseEvent[Any], problem: str) -> NoReturn:
    # `from None`: the cause would quote the payload.
    raise EventEncodingError(problem, event_id=event.id, event_type=event_type_of(type(event))) from None


def _texts_of(message: EventMessage) -> Iterator[tuple[str, str | None]]:
    """Yield the strings of an event that its user chose, each with the name of its field."""
    yield from (("aggregate_id", message.subject), ("id", message.id), ("correlation_id", message.correlationid))
    yield from (("causation_id", message.causationid), ("partition_key", message.partitionkey))
    yield from (("traceparent", message.traceparent), ("tracestate", message.tracestate))
