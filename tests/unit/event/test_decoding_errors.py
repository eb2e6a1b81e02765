"""What the decoder refuses before it looks at the payload; each error names the event and the next step."""

import json
import traceback
from enum import Enum
from typing import Any

import pytest

from domainstream.errors import (
    ConfigurationError,
    EventDecodingError,
    InvalidEnvelopeError,
    UnknownEventTypeError,
    UnknownEventVersionError,
)
from domainstream.event import BaseEvent, EventDecoder, EventPayload, read_message

PATIENT = "patient-4711"


class Bill(EventPayload):
    """A payload."""

    amount: int


class BillSent(BaseEvent[Bill]):
    """An event of version 1."""

    event_type = "domain_billing_bill_sent"


class InvoiceSent(BaseEvent[Bill]):
    """Another event of the same type."""

    event_type = "domain_billing_bill_sent"


def message(**attributes: Any) -> str:
    """Return a sound message with `attributes` replaced; an ellipsis leaves one out."""
    sound = {
        "specversion": "1.0",
        "id": "event-1",
        "source": "/services/billing",
        "type": "domain_billing_bill_sent",
        "time": "2026-01-02T03:04:05Z",
        "subject": "bill-1",
        "datacontenttype": "application/json",
        "dataschema": "urn:domainstream:events/domain_billing_bill_sent/1",
        "data": {"amount": 1},
    }
    return json.dumps({name: value for name, value in {**sound, **attributes}.items() if value is not ...})


def refused(**attributes: Any) -> EventDecodingError:
    """Return the error that reading such a message raises, after checking what all of them promise."""
    with pytest.raises(EventDecodingError) as caught:
        EventDecoder([BillSent]).decode(message(**attributes))
    assert PATIENT not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_sound_message_is_read() -> None:
    """The message that these tests spoil can be read as it is."""
    assert EventDecoder([BillSent]).decode(message()).payload == Bill(amount=1)


def test_unknown_type_is_refused_with_the_nearest_known_one() -> None:
    """A misspelt type is answered with the type that was probably meant."""
    error = refused(type="domain_billing_bill_send")
    assert isinstance(error, UnknownEventTypeError)
    assert "did you mean domain_billing_bill_sent?" in str(error)
    assert error.event_id == "event-1"
    assert error.event_type == "domain_billing_bill_send"


def test_unknown_type_that_resembles_none_is_refused_with_what_to_do() -> None:
    """A type that is like no known one is answered with how to register its class."""
    error = refused(type="something_else")
    assert isinstance(error, UnknownEventTypeError)
    assert "register its class" in str(error)


@pytest.mark.parametrize(
    ("dataschema", "words"),
    [
        pytest.param("urn:x/2", "version 2 is newer than version 1 of BillSent; update this service", id="newer"),
        pytest.param("urn:x/0", "does not end in a version", id="zero"),
        pytest.param("urn:x/01", "does not end in a version", id="leading zero"),
        pytest.param("urn:x/one", "does not end in a version", id="word"),
        pytest.param("urn:x/²", "does not end in a version", id="superscript digit"),
        pytest.param("https://schemas.example/bill.json", "does not end in a version", id="foreign schema"),
        pytest.param("urn:x/" + "9" * 5000, "does not end in a version", id="5,000 digits"),
    ],
)
def test_unknown_version_is_refused(dataschema: str, words: str) -> None:
    """A version that the class does not have is named, together with what to do about it."""
    error = refused(dataschema=dataschema)
    assert isinstance(error, UnknownEventVersionError)
    assert words in str(error)
    assert error.event_id == "event-1"
    assert error.event_type == "domain_billing_bill_sent"


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "time", "subject", "data"])
def test_missing_attribute_is_refused(name: str) -> None:
    """An envelope without an attribute that we need is refused by that attribute's name."""
    attributes: dict[str, Any] = {name: ...}
    error = refused(**attributes)
    assert isinstance(error, InvalidEnvelopeError)
    assert f"expected the field {name}, got nothing" in str(error)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        pytest.param({"specversion": "0.3"}, "$.specversion", id="older CloudEvents"),
        pytest.param({"specversion": 1.0}, "$.specversion: expected str, got float", id="number as version"),
        pytest.param({"id": ""}, "$.id", id="empty id"),
        pytest.param({"id": 7}, "$.id: expected str, got int", id="number as id"),
        pytest.param({"type": ["a"]}, "$.type: expected str, got array", id="array as type"),
        pytest.param({"subject": ""}, "$.subject", id="empty subject"),
        pytest.param({"time": "2026-01-02T03:04:05"}, "$.time: expected datetime with a timezone", id="naive time"),
        pytest.param({"time": "yesterday"}, "$.time", id="word as time"),
        pytest.param({"time": 1767323045}, "$.time: expected datetime, got int", id="number as time"),
        pytest.param({"time": "0001-01-01T00:00:00+14:00"}, "years 1 to 9999", id="before year 1"),
        pytest.param({"time": "9999-12-31T23:59:59-14:00"}, "years 1 to 9999", id="after year 9999"),
        pytest.param({"datacontenttype": "application/xml"}, "datacontenttype must be JSON", id="XML"),
        pytest.param(
            {"datacontenttype": "text/plain; like=json"}, "datacontenttype must be JSON", id="JSON as parameter"
        ),
        pytest.param({"datacontenttype": "application/notjson"}, "datacontenttype must be JSON", id="JSON as ending"),
        pytest.param({"sequence": PATIENT}, "sequence must be a number", id="word as sequence"),
        pytest.param({"sequence": "-1"}, "sequence must be a number", id="negative sequence"),
        pytest.param({"sequence": "\u0661"}, "sequence must be a number", id="sequence in other digits"),
        pytest.param({"sequence": "9" * 5000}, "sequence must be a number", id="sequence of 5,000 digits"),
        pytest.param({"sequence": 1}, "$.sequence: expected str | null, got int", id="number as sequence"),
    ],
)
def test_attribute_that_is_wrong_is_refused(attributes: dict[str, Any], words: str) -> None:
    """An envelope with a wrong attribute is refused by that attribute's name."""
    error = refused(**attributes)
    assert isinstance(error, InvalidEnvelopeError)
    assert words in str(error)


def test_unreadable_envelope_is_named_as_far_as_it_can_be() -> None:
    """The error of an unreadable envelope names its id and type where these can be read."""
    error = refused(time=..., id=["event-1"])
    assert error.event_id is None
    assert error.event_type == "domain_billing_bill_sent"


@pytest.mark.parametrize("data", ["[]", "7", "null", '"event"', "{}"])
def test_json_that_is_no_envelope_is_refused(data: str) -> None:
    """Sound JSON of another shape is refused as an envelope, not as a payload."""
    with pytest.raises(InvalidEnvelopeError, match="envelope at"):
        read_message(data)


def test_two_classes_of_one_type_are_refused() -> None:
    """A decoder that could not tell two classes apart is not made, and both are named."""
    with pytest.raises(ConfigurationError, match="BillSent and InvoiceSent share the event type"):
        EventDecoder([BillSent, InvoiceSent])


def test_one_class_given_twice_is_no_conflict() -> None:
    """A decoder accepts one class that is given twice."""
    assert EventDecoder([BillSent, BillSent]).decode(message()).payload == Bill(amount=1)


def test_classes_without_type_are_refused_all_at_once() -> None:
    """Every class without a type is named in one error, with what to type."""

    class Kind(Enum):
        """An enum whose members are no texts."""

        SENT = "domain_billing_bill_sent"

    class Typeless(BaseEvent[Bill]):
        """No type."""

    class Wrong(BaseEvent[Bill]):
        """A type that is no text."""

        event_type = Kind.SENT  # type: ignore[assignment]

    with pytest.raises(ConfigurationError) as caught:
        EventDecoder([Typeless, BillSent, Wrong])
    assert [problem.split()[0] for problem in caught.value.problems] == ["Typeless", "Wrong"]
    assert "event_type = YourEventType.NAME" in str(caught.value)


def test_class_that_does_not_name_its_payload_is_refused() -> None:
    """A decoder refuses an event class that does not name its payload type."""

    class Nameless(BaseEvent):  # type: ignore[type-arg]
        """No payload type."""

        event_type = "domain_billing_bill_sent"

    with pytest.raises(ConfigurationError, match=r"class Nameless\(BaseEvent\[NamelessPayload\]\)"):
        EventDecoder([Nameless])
