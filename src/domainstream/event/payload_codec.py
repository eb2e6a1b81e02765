"""Write and read the payload of one event class.

What cannot be read back is never written: each payload is decoded once before it leaves, so a mistake shows at the
producer.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import msgspec

from domainstream.errors import ConfigurationError, EventEncodingError, InvalidPayloadError
from domainstream.event.base_event import BaseEvent
from domainstream.event.json_guard import may_need_guarding
from domainstream.event.message import EventMessage, schema_of
from domainstream.event.mismatch import ForeignMismatchError, Mismatch
from domainstream.event.payload_problem import non_finite_problem, problem_of
from domainstream.event.payload_traits import traits_of
from domainstream.settings import MessageLimits

logger = logging.getLogger("domainstream.event")


class PayloadCodec:
    """The JSON of one event class."""

    def __init__(self, event_class: type[BaseEvent[Any]]) -> None:
        self.payload_type = payload_type_of(event_class)
        """P of `class X(BaseEvent[P])`: a msgspec Struct, dataclass, attrs class, TypedDict or pydantic model."""
        self.event_type = _event_type_of(event_class)
        """The type of the event, as a plain string."""
        self.schema = schema_of(self.event_type, event_class.version)
        """The `dataschema` of its version."""
        encoder = msgspec.json.Encoder(enc_hook=_write_foreign)
        self._encode, self._encode_lines = encoder.encode, encoder.encode_lines
        self._decode = msgspec.json.Decoder(self.payload_type, dec_hook=_read_foreign).decode
        written: Any = msgspec.defstruct("Written", [("data", self.payload_type)], gc=False)
        self._traits = traits_of(self.payload_type)
        decoder = msgspec.json.Decoder(written, dec_hook=_read_foreign)
        self._read_back, self._read_back_lines = decoder.decode, decoder.decode_lines

    def write(self, event: BaseEvent[Any], message: EventMessage) -> tuple[bytes, bool]:
        """Return `message` as JSON, and whether its payload reads back as an equal one.

        Raises `EventEncodingError` for a payload that no consumer could read back.
        """
        try:
            data = self._encode(message)
            intact = self._read_back(data).data == event.payload
        except Exception as error:  # noqa: BLE001 - a payload type may run any code of the user's
            _refuse(event, problem_of(event.payload, self.payload_type, error))
        # NaN is written as null, which an optional field reads as None; to look into each payload would cost as much
        # again.
        if not intact and b"null" in data and (problem := non_finite_problem(event.payload)):
            _refuse(event, problem)
        return data, intact

    def write_many(
        self, events: Sequence[BaseEvent[Any]], messages: Sequence[EventMessage], limits: MessageLimits
    ) -> list[bytes] | None:
        """Return what `write` returns for each message, at less cost; None when any of them needs a closer look."""
        if self._traits is None or self._traits.depth >= limits.max_depth:
            return None
        try:
            text = self._encode_lines(messages)
            read_back = [written.data for written in self._read_back_lines(text)]
        except Exception as error:  # noqa: BLE001 - a payload type may run any code; `write` will tell which event it is
            logger.debug("writing %d events one by one, because of %s", len(events), type(error).__name__)
            return None
        lines = text.split(b"\n")[:-1]
        payloads = [event.payload for event in events]
        if read_back != payloads or max(map(len, lines)) > limits.max_bytes:
            return None
        return lines if not limits.strict_integers or self._traits.safe_for_node(payloads) else None

    def may_need_guarding(self, payload: Any, data: bytes, limits: MessageLimits, *, intact: bool) -> bool:
        """Tell at little cost whether the message `data` with that payload is one that its readers might refuse."""
        if not intact:
            return True
        if self._traits is None or self._traits.depth >= limits.max_depth:
            return may_need_guarding(data.partition(b',"data":')[2], limits)
        return limits.strict_integers and not self._traits.safe_for_node((payload,))

    def read(self, message: EventMessage, payload: bytes | msgspec.Raw) -> Any:
        """Return the payload of a message, given as JSON of the newest version, raising `InvalidPayloadError`."""
        try:
            return self._decode(payload)
        except Exception as error:  # noqa: BLE001 - a payload type may run any code of the user's
            raise _invalid(message, error) from None


@cache
def payload_codec_of(event_class: type[BaseEvent[Any]]) -> PayloadCodec:
    """Return the codec of an event class, made once, raising `ConfigurationError` when its payload is not named."""
    return PayloadCodec(event_class)


def payload_type_of(event_class: type[BaseEvent[Any]]) -> Any:
    """Return P of `class X(BaseEvent[P])`, raising `ConfigurationError` where it is not named."""
    for base in event_class.__mro__:
        for generic in getattr(base, "__orig_bases__", ()):
            arguments = get_args(generic)
            if _is_event(get_origin(generic)) and not isinstance(arguments[0], TypeVar):
                return arguments[0]
    name = event_class.__name__
    raise ConfigurationError(
        f"{name} cannot be used:", [f"it does not name its payload; type: class {name}(BaseEvent[{name}Payload])"]
    )


def _event_type_of(event_class: type[BaseEvent[Any]]) -> str:
    event_type = getattr(event_class, "event_type", None)
    if isinstance(event_type, str):
        return str.__str__(event_type)
    raise ConfigurationError(
        f"{event_class.__name__} cannot be used:", ["it does not name its type; type: event_type = YourEventType.NAME"]
    )


def _is_event(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, BaseEvent)


def _refuse(event: BaseEvent[Any], why: str) -> NoReturn:
    # `from None`: the cause would quote the payload.
    raise EventEncodingError(why, event_id=event.id, event_type=event.event_type) from None


def _invalid(message: EventMessage, error: Exception) -> InvalidPayloadError:
    mismatch = Mismatch.of(error)
    return InvalidPayloadError(
        mismatch.path, mismatch.expected, mismatch.got, event_id=message.id, event_type=message.type
    )


def _write_foreign(value: Any) -> Any:
    """Turn a pydantic model into plain values; msgspec calls this for what it does not know itself."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, warnings=False)
    raise NotImplementedError


def _read_foreign(wanted: Any, value: Any) -> Any:
    """Turn plain values into a pydantic model; msgspec calls this for what it does not know itself."""
    if not hasattr(wanted, "model_validate"):
        raise NotImplementedError
    try:
        return wanted.model_validate(value)
    except ValueError as error:
        raise ForeignMismatchError(wanted, error) from None
