"""What the encoder refuses: a mistake shows at the producer, and never quotes the payload."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from domainstream.errors import ConfigurationError, EventEncodingError
from domainstream.event import BaseEvent, EventEncoder, EventPayload
from domainstream.settings import MessageLimits

PATIENT = "patient-4711"
LONE_SURROGATE = "\ud800"


class Line(EventPayload):
    """A struct inside payloads."""

    price: float


class Bill(EventPayload):
    """A payload with fields of several kinds."""

    patient: str = "p"
    amount: int = 0
    score: float | None = None
    lines: tuple[Line, ...] = ()
    by_ward: dict[str, Line | None] = {}  # noqa: RUF012
    anything: Any = None


@dataclass
class DataclassBill:
    """A dataclass with a check of its own that quotes the value."""

    amount: Any

    def __post_init__(self) -> None:
        """Refuse negative amounts."""
        if isinstance(self.amount, int) and self.amount < 0:
            raise ValueError(f"{PATIENT} is no amount")


@attrs.frozen
class AttrsBill:
    """An attrs class."""

    amount: int


class TypedDictBill(TypedDict):
    """A typed dictionary."""

    amount: int


class ModelBill(pydantic.BaseModel):
    """A pydantic model with a check of its own that breaks in an unusual way."""

    amount: int
    by_ward: dict[str, int] = {}

    @pydantic.field_validator("amount")
    @classmethod
    def known(cls, amount: int) -> int:
        """Refuse what is in no table."""
        return {0: 0, 1: 1}[amount]


class Billed(BaseEvent[Bill]):
    """An event."""

    event_type = "domain_billing_bill_sent"


class DataclassBilled(BaseEvent[DataclassBill]):
    """An event."""

    event_type = "domain_billing_bill_sent"


class AttrsBilled(BaseEvent[AttrsBill]):
    """An event."""

    event_type = "domain_billing_bill_sent"


class TypedDictBilled(BaseEvent[TypedDictBill]):
    """An event."""

    event_type = "domain_billing_bill_sent"


class ModelBilled(BaseEvent[ModelBill]):
    """An event."""

    event_type = "domain_billing_bill_sent"


def nested(depth: int) -> list[Any]:
    """Return a list that nests `depth` levels."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def negative() -> DataclassBill:
    """Return a payload that was broken after it was made."""
    bill = DataclassBill(0)
    bill.amount = -1
    return bill


def refused(event_class: Callable[..., BaseEvent[Any]], payload: Any, limits: MessageLimits | None = None) -> str:
    """Return the message of the error that encoding `payload` raises, after checking what all of them promise."""
    event = event_class(aggregate_id="bill-1", payload=payload, id="event-1")
    with pytest.raises(EventEncodingError) as caught:
        EventEncoder("billing", limits or MessageLimits()).encode(event)
    assert caught.value.event_id == "event-1"
    assert caught.value.event_type == "domain_billing_bill_sent"
    assert "[event event-1, type domain_billing_bill_sent]" in str(caught.value)
    assert PATIENT not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.mark.parametrize(
    ("event_class", "payload", "words"),
    [
        pytest.param(Billed, Bill(amount=PATIENT), "$.amount: expected int, got str", id="struct"),  # type: ignore[arg-type]
        pytest.param(AttrsBilled, AttrsBill(PATIENT), "$.amount: expected int, got str", id="attrs"),  # type: ignore[arg-type]
        pytest.param(TypedDictBilled, {"amount": PATIENT}, "$.amount: expected int, got str", id="typed dictionary"),
        pytest.param(TypedDictBilled, {PATIENT: 1}, "$: expected the field amount, got nothing", id="missing key"),
        pytest.param(ModelBilled, ModelBill.model_construct(amount=PATIENT), "$.amount", id="pydantic"),
        pytest.param(Billed, DataclassBill(PATIENT), "payload is DataclassBill, expected Bill", id="another class"),
        pytest.param(Billed, PATIENT, "$: expected object, got str", id="no object"),
        pytest.param(Billed, None, "$: expected object, got null", id="nothing"),
        pytest.param(Billed, Bill(lines=(Line(price=PATIENT),)), "$.lines[0].price: expected float", id="nested"),  # type: ignore[arg-type]
        pytest.param(Billed, Bill(by_ward={PATIENT: PATIENT}), "$.by_ward[...]", id="in a dictionary"),  # type: ignore[dict-item]
        pytest.param(DataclassBilled, negative(), "$: expected a value that its type accepts", id="own check"),
        pytest.param(ModelBilled, ModelBill.model_construct(amount=2), "KeyError", id="own check that breaks"),
        pytest.param(
            ModelBilled,
            ModelBill.model_construct(amount=1, by_ward={PATIENT: PATIENT}),
            "$.by_ward[...]: expected int_parsing, got str",
            id="pydantic dictionary",
        ),
    ],
)
def test_payload_that_does_not_fit_its_type_is_refused(
    event_class: Callable[..., BaseEvent[Any]], payload: Any, words: str
) -> None:
    """What a consumer's decoder would refuse, the encoder refuses, with place, expected and found kind."""
    assert words in refused(event_class, payload)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")], ids=["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    "payload_with",
    [
        pytest.param(lambda number: Bill(score=number), id="optional float"),
        pytest.param(lambda number: Bill(by_ward={"a": None, "b": Line(price=number)}), id="float"),
        pytest.param(lambda number: Bill(anything=(1, [number])), id="anything"),
        pytest.param(lambda number: Bill(anything={"a": number}), id="dictionary"),
    ],
)
def test_numbers_that_json_does_not_know_are_refused(payload_with: Callable[[float], Bill], number: float) -> None:
    """NaN and the infinities are refused by that name, also where a null would be readable."""
    assert "is NaN or infinite" in refused(Billed, payload_with(number))


def test_number_that_json_does_not_know_is_found() -> None:
    """The error for NaN names its path, without the keys of dictionaries, which are data."""
    assert "payload at $.by_ward[...].price:" in refused(Billed, Bill(by_ward={PATIENT: Line(price=float("nan"))}))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(Bill(patient=PATIENT + LONE_SURROGATE), id="text"),
        pytest.param(Bill(anything={PATIENT + LONE_SURROGATE: 1}), id="key"),
    ],
)
def test_lone_surrogates_are_refused(payload: Bill) -> None:
    """A payload with a lone surrogate, which is not Unicode, is refused."""
    assert "lone surrogate" in refused(Billed, payload)


@pytest.mark.parametrize("name", ["aggregate_id", "correlation_id", "partition_key"])
def test_lone_surrogates_in_attributes_are_refused(name: str) -> None:
    """An attribute that is not Unicode is refused as a payload is."""
    fields: dict[str, Any] = {"aggregate_id": "bill-1", "payload": Bill(), name: LONE_SURROGATE}
    event = Billed(**fields)
    with pytest.raises(EventEncodingError, match="lone surrogate"):
        EventEncoder("billing").encode(event)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**64, 10**400])
def test_integers_that_node_would_round_are_refused(number: int) -> None:
    """Integers beyond 2^53 - 1 are refused, and the error says to send a text."""
    assert "send it as a string" in refused(Billed, Bill(amount=number))


def test_integers_that_python_cannot_write_are_refused() -> None:
    """An integer of more digits than Python writes is refused, with the limit off too."""
    refused(Billed, Bill(amount=10**5000), MessageLimits(strict_integers=False))


def test_long_digits_that_are_no_integers_pass() -> None:
    """Digits in texts and floats of many digits are not refused as integers."""
    payload = Bill(patient="12345678901234567890", score=0.12345678901234566, anything=[1e300, Decimal(10**30)])
    assert EventEncoder("billing").encode(Billed(aggregate_id="bill-1", payload=payload, sequence=10**19))


def test_message_over_the_limit_is_refused() -> None:
    """A message above 256 KiB is refused, and the error says how large it is."""
    assert "at most 262,144 are allowed" in refused(Billed, Bill(patient=PATIENT * 30_000))


def test_message_at_the_limit_passes() -> None:
    """The limit counts the whole message, and a message of exactly that size passes."""
    event = Billed(aggregate_id="bill-1", payload=Bill(patient="x" * 1000))
    size = len(EventEncoder("billing").encode(event))
    assert EventEncoder("billing", MessageLimits(max_bytes=size)).encode(event)
    with pytest.raises(EventEncodingError, match=f"{size:,} bytes"):
        EventEncoder("billing", MessageLimits(max_bytes=size - 1)).encode(event)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(object(), id="object"),
        pytest.param(1j, id="complex"),
        pytest.param(len, id="function"),
        pytest.param({(1, 2): 3}, id="tuple as key"),
        pytest.param({None: 3}, id="None as key"),
        pytest.param(iter([1]), id="iterator"),
        pytest.param(msgspec.Raw(b"not JSON"), id="raw"),
    ],
)
def test_values_that_json_cannot_hold_are_refused(value: object) -> None:
    """A Python value without a JSON form is refused."""
    assert "use types that JSON has" in refused(Billed, Bill(anything=value))


def test_model_that_cannot_be_written_is_refused() -> None:
    """A pydantic model that pydantic cannot write is refused as any other payload."""
    refused(ModelBilled, ModelBill.model_construct(amount=object()))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(nested(31), "nests deeper than 32 levels", id="33 levels with envelope and payload"),
        pytest.param(nested(500), "nests deeper than 32 levels", id="500 levels"),
        pytest.param(nested(100_000), "RecursionError", id="100,000 levels"),
        pytest.param({"__proto__": 1}, "__proto__", id="__proto__"),
    ],
)
def test_what_every_decoder_would_refuse_is_refused(value: object, words: str) -> None:
    """A message that consumers would call hostile is not written in the first place."""
    assert words in refused(Billed, Bill(anything=value))


@pytest.mark.parametrize("value", [nested(30), ["__proto__"], {"__proto": 1}], ids=["32 levels", "text", "other key"])
def test_what_every_decoder_would_read_passes(value: object) -> None:
    """A message at the limit of depth, or with an innocent text, is written."""
    assert EventEncoder("billing").encode(Billed(aggregate_id="bill-1", payload=Bill(anything=value)))


def test_depth_counts_the_envelope() -> None:
    """A payload may nest 31 levels, since the envelope is one level more."""
    limits = MessageLimits(max_depth=32)
    assert EventEncoder("billing", limits).encode(DataclassBilled(aggregate_id="a", payload=DataclassBill(nested(30))))
    refused(DataclassBilled, DataclassBill(nested(31)), limits)


def test_event_class_without_type_is_refused() -> None:
    """A class that forgot its event type is reported with what to type."""

    class Forgotten(BaseEvent[Bill]):
        """No event type."""

    with pytest.raises(ConfigurationError, match="event_type = "):
        EventEncoder("billing").encode(Forgotten(aggregate_id="bill-1", payload=Bill()))
