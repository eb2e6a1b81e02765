"""What the decoder says about a payload that does not fit its type: the place and the kinds, never a value."""

import json
import traceback
from enum import StrEnum
from typing import Any

import pydantic
import pytest

from domainstream.errors import InvalidPayloadError
from domainstream.event import BaseEvent, EventDecoder, EventPayload

PATIENT = "patient-4711"
UNSAID = ("a value that its type accepts", "another value")


class Ward(StrEnum):
    """An enum inside payloads."""

    SURGERY = "surgery"


class Line(EventPayload):
    """A struct inside payloads, with a check of its own that quotes the value."""

    price: float

    def __post_init__(self) -> None:
        """Refuse negative prices, and break at zero."""
        if self.price < 0:
            raise ValueError(f"Expected `{PATIENT}`, got `{self.price}` - at `$.{PATIENT}`")
        if self.price == 0:
            raise LookupError(PATIENT)


class Bill(EventPayload):
    """A payload with fields of several kinds."""

    amount: int
    ward: Ward = Ward.SURGERY
    lines: tuple[Line, ...] = ()
    by_ward: dict[str, int] = {}  # noqa: RUF012
    by_number: dict[int, str] = {}  # noqa: RUF012


class ModelLine(pydantic.BaseModel):
    """A pydantic model inside payloads."""

    price: float = pydantic.Field(alias="unitPrice")


class ModelBill(pydantic.BaseModel):
    """A pydantic model that takes no unknown fields."""

    model_config = pydantic.ConfigDict(extra="forbid")

    amount: int
    lines: list[ModelLine] = []
    by_ward: dict[str, int] = {}

    @pydantic.field_validator("amount")
    @classmethod
    def positive(cls, amount: int) -> int:
        """Refuse negative amounts in words that quote the value."""
        if amount < 0:
            raise ValueError(f"{PATIENT} owes {amount}")
        return amount


class MixedBill(EventPayload):
    """A struct with a model inside."""

    line: ModelLine


class BillSent(BaseEvent[Bill]):
    """An event of version 1."""

    event_type = "domain_billing_bill_sent"


class ModelBillSent(BaseEvent[ModelBill]):
    """An event with a pydantic model."""

    event_type = "domain_billing_bill_sent"


class MixedBillSent(BaseEvent[MixedBill]):
    """An event with a struct that holds a pydantic model."""

    event_type = "domain_billing_bill_sent"


def refused(event_class: type[BaseEvent[Any]], data: Any) -> InvalidPayloadError:
    """Return the error that reading a message with this payload raises."""
    message = {
        "specversion": "1.0",
        "id": "event-1",
        "source": "/services/billing",
        "type": "domain_billing_bill_sent",
        "time": "2026-01-02T03:04:05Z",
        "subject": "bill-1",
        "data": data,
    }
    with pytest.raises(InvalidPayloadError) as caught:
        EventDecoder([event_class]).decode(json.dumps(message))
    return caught.value


MISFITS = [
    pytest.param(BillSent, {"amount": PATIENT}, "$.amount", "int", "str", id="kind"),
    pytest.param(BillSent, {}, "$", "the field amount", "nothing", id="missing"),
    pytest.param(BillSent, None, "$", "object", "null", id="null"),
    pytest.param(BillSent, [PATIENT], "$", "object", "array", id="array"),
    pytest.param(BillSent, {"amount": 1, "ward": PATIENT}, "$.ward", *UNSAID, id="enum"),
    pytest.param(BillSent, {"amount": 1, "ward": f"' - at `{PATIENT}`"}, "$.ward", *UNSAID, id="like a path"),
    pytest.param(
        BillSent,
        {"amount": 1, "lines": [{"price": 1}, {"price": PATIENT}]},
        "$.lines[1].price",
        "float",
        "str",
        id="nested",
    ),
    pytest.param(BillSent, {"amount": 1, "by_ward": {PATIENT: PATIENT}}, "$.by_ward[...]", "int", "str", id="in dict"),
    pytest.param(BillSent, {"amount": 1, "by_number": {PATIENT: "a"}}, "$.by_number", "int", "str", id="dict key"),
    pytest.param(BillSent, {"amount": 1, "lines": [{"price": -1}]}, "$.lines[0]", *UNSAID, id="own check"),
    pytest.param(BillSent, {"amount": 1, "lines": [{"price": 0}]}, "$", *UNSAID, id="own check that breaks"),
    pytest.param(ModelBillSent, {"amount": PATIENT}, "$.amount", "int_parsing", "str", id="pydantic"),
    pytest.param(ModelBillSent, {}, "$.amount", "a value", "nothing", id="pydantic missing"),
    pytest.param(ModelBillSent, PATIENT, "$", "model_type", "str", id="pydantic no object"),
    pytest.param(
        ModelBillSent,
        {"amount": 1, "lines": [{"unitPrice": PATIENT}]},
        "$.lines[0].unitPrice",
        "float_parsing",
        "str",
        id="pydantic nested",
    ),
    pytest.param(
        ModelBillSent,
        {"amount": 1, "by_ward": {PATIENT: "x"}},
        "$.by_ward[...]",
        "int_parsing",
        "str",
        id="pydantic in dict",
    ),
    pytest.param(
        ModelBillSent, {"amount": 1, PATIENT: 1}, "$[...]", "extra_forbidden", "int", id="pydantic unknown field"
    ),
    pytest.param(ModelBillSent, {"amount": -1}, "$.amount", "value_error", "int", id="pydantic own check"),
    pytest.param(
        MixedBillSent,
        {"line": {"unitPrice": PATIENT}},
        "$.line.unitPrice",
        "float_parsing",
        "str",
        id="pydantic in struct",
    ),
]


@pytest.mark.parametrize(("event_class", "data", "path", "expected", "got"), MISFITS)
def test_payload_that_does_not_fit_its_type_is_refused(
    event_class: type[BaseEvent[Any]], data: Any, path: str, expected: str, got: str
) -> None:
    """The error says where in the payload what was expected, and what kind of value was found."""
    error = refused(event_class, data)
    assert error.path == path
    assert error.expected == expected
    assert error.got == got
    assert str(error).startswith(f"payload at {path}: expected {expected}, got {got}")


@pytest.mark.parametrize(("event_class", "data", "path", "expected", "got"), MISFITS)
def test_event_is_named(event_class: type[BaseEvent[Any]], data: Any, path: str, expected: str, got: str) -> None:
    """The error carries the event's id and type, in its message and as attributes."""
    error = refused(event_class, data)
    assert error.event_id == "event-1"
    assert error.event_type == "domain_billing_bill_sent"
    assert str(error).endswith("[event event-1, type domain_billing_bill_sent]")


@pytest.mark.parametrize(("event_class", "data", "path", "expected", "got"), MISFITS)
def test_no_value_is_quoted(event_class: type[BaseEvent[Any]], data: Any, path: str, expected: str, got: str) -> None:
    """No value or key of a payload appears in the error, nor in what is printed of its causes."""
    assert PATIENT not in "".join(traceback.format_exception(refused(event_class, data)))
