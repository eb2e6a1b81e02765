"""The envelope: which CloudEvents attributes a message has, and what stands in them."""

import json
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest

from domainstream.event import BaseEvent, EventEncoder, EventPayload, read_message


class StayEventType(StrEnum):
    """The event types, as users write them."""

    CODED = "domain_coding_stay_coded"
    RECODED = "domain_coding_stay_recoded"


class Code(EventPayload):
    """A payload."""

    code: str


class StayCoded(BaseEvent[Code]):
    """An event of version 1."""

    event_type = StayEventType.CODED


class StayRecoded(BaseEvent[Code]):
    """An event of version 12."""

    event_type = StayEventType.RECODED
    version = 12


MINIMAL = StayCoded(
    aggregate_id="stay-1",
    payload=Code(code="J18.9"),
    id="event-1",
    occurred_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)
FULL = StayRecoded(
    aggregate_id="stay-1",
    payload=Code(code="J18.9"),
    id="event-2",
    occurred_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    correlation_id="transaction-1",
    causation_id="event-1",
    partition_key="ward-7",
    sequence=42,
)
TRACE = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "vendor=1"}


def written(event: BaseEvent[Any], trace: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object that the service `coding` writes."""
    message: dict[str, Any] = json.loads(EventEncoder("coding").encode(event, trace))
    return message


def test_minimal_event_has_the_attributes_that_every_event_has() -> None:
    """Without optional fields, exactly the nine attributes of every message are written, in this order."""
    assert list(written(MINIMAL).items()) == [
        ("specversion", "1.0"),
        ("id", "event-1"),
        ("source", "/services/coding"),
        ("type", "domain_coding_stay_coded"),
        ("time", "2026-01-02T03:04:05Z"),
        ("subject", "stay-1"),
        ("datacontenttype", "application/json"),
        ("dataschema", "urn:domainstream:events/domain_coding_stay_coded/1"),
        ("data", {"code": "J18.9"}),
    ]


def test_full_event_has_every_attribute() -> None:
    """With all optional fields and a trace, their attributes come between the common ones and the data."""
    assert list(written(FULL, TRACE).items())[7:] == [
        ("dataschema", "urn:domainstream:events/domain_coding_stay_recoded/12"),
        ("correlationid", "transaction-1"),
        ("causationid", "event-1"),
        *TRACE.items(),
        ("partitionkey", "ward-7"),
        ("sequence", "00000000000000000042"),
        ("data", {"code": "J18.9"}),
    ]


def test_attribute_names_are_what_cloudevents_demands() -> None:
    """Every attribute's name consists of lower-case letters."""
    assert all(name.isascii() and name.isalpha() and name.islower() for name in written(FULL, TRACE))


@pytest.mark.parametrize("trace", [None, {}, {"baggage": "secret"}])
def test_without_a_trace_there_are_no_trace_attributes(trace: dict[str, str] | None) -> None:
    """Only `traceparent` and `tracestate` are taken from a trace, and only when they are there."""
    assert not {"traceparent", "tracestate", "baggage"} & written(MINIMAL, trace).keys()


def test_trace_may_have_no_state() -> None:
    """A trace without `tracestate` is written as `traceparent` alone."""
    assert "tracestate" not in written(MINIMAL, {"traceparent": TRACE["traceparent"]})


@pytest.mark.parametrize(
    ("sequence", "text"), [(0, "0" * 20), (42, "0" * 18 + "42"), (10**20 - 1, "9" * 20)], ids=["first", "some", "last"]
)
def test_sequence_is_twenty_digits(sequence: int, text: str) -> None:
    """A sequence is zero-padded to 20 digits, so that it sorts as text as it does as a number."""
    event = StayCoded(aggregate_id="stay-1", payload=Code(code="J18.9"), sequence=sequence)
    assert written(event)["sequence"] == text


def test_time_is_in_utc() -> None:
    """A time of another zone is written as the same moment in UTC, with a Z."""
    moment = datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    event = StayCoded(aggregate_id="stay-1", payload=Code(code="J18.9"), occurred_at=moment)
    assert written(event)["time"] == "2026-01-02T03:04:05Z"


def test_message_is_compact_utf_8() -> None:
    """A message has no white space between its values and writes letters as they are."""
    data = EventEncoder("coding").encode(StayCoded(aggregate_id="stäy", payload=Code(code="é")))
    assert '"subject":"stäy"'.encode() in data
    assert data.endswith('"data":{"code":"é"}}'.encode())


def test_envelope_can_be_read_without_knowing_the_payload() -> None:
    """A reader that only passes events on gets the attributes, and the payload as the text it was."""
    message = read_message(EventEncoder("coding").encode(FULL))
    assert message.id == "event-2"
    assert message.type == StayEventType.RECODED
    assert message.version == "12"
    assert message.subject == "stay-1"
    assert bytes(message.data) == b'{"code":"J18.9"}'


@pytest.mark.parametrize(
    "datacontenttype",
    ["application/json", "APPLICATION/JSON", "application/vnd.clinic+json", "text/json; charset=utf-8", "", None],
)
def test_every_kind_of_json_is_read(datacontenttype: str | None) -> None:
    """JSON under any of its media types, or under none, is read."""
    data = json.dumps(written(MINIMAL) | {"datacontenttype": datacontenttype})
    assert read_message(data).datacontenttype == datacontenttype


@pytest.mark.parametrize(
    "absent",
    [
        "datacontenttype",
        "dataschema",
        "correlationid",
        "causationid",
        "traceparent",
        "tracestate",
        "partitionkey",
        "sequence",
    ],
)
def test_optional_attributes_may_be_null(absent: str) -> None:
    """As CloudEvents says, null is read as if the attribute were absent."""
    message = written(FULL, TRACE)
    null = read_message(json.dumps(message | {absent: None}))
    del message[absent]
    assert null == read_message(json.dumps(message))


def test_without_dataschema_the_version_is_one() -> None:
    """A message without `dataschema` is read as version 1."""
    message = written(MINIMAL)
    del message["dataschema"]
    assert read_message(json.dumps(message)).version == "1"


def test_unknown_attributes_are_skipped() -> None:
    """A message with unknown extension attributes is read as if it had none."""
    assert read_message(json.dumps(written(MINIMAL) | {"extension": [1], "_redisEvent": {}})).id == "event-1"
