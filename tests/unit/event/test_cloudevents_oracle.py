"""Our messages are CloudEvents: the CloudEvents project's own SDK reads what we write, and we read what it writes."""

from datetime import UTC
from typing import Any

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from domainstream.event import BaseEvent, EventDecoder, EventEncoder, EventPayload, read_message

TEXT = st.text(st.characters(codec="utf-8"))
WORD = TEXT.filter(bool)
KEY = TEXT.filter(lambda text: text != "__proto__")
MOMENT = st.datetimes(timezones=st.just(UTC))


class Coded(EventPayload):
    """A payload."""

    code: str
    score: float
    tags: dict[str, list[int]]


class StayCoded(BaseEvent[Coded]):
    """An event."""

    event_type = "domain_coding_stay_coded"
    version = 2


PAYLOADS = st.builds(
    Coded,
    code=TEXT,
    score=st.floats(allow_nan=False, allow_infinity=False),
    tags=st.dictionaries(KEY, st.lists(st.integers(-(2**53) + 1, 2**53 - 1)), max_size=3),
)
EVENTS = st.builds(
    StayCoded,
    aggregate_id=WORD,
    payload=PAYLOADS,
    id=WORD,
    occurred_at=MOMENT,
    correlation_id=st.none() | WORD,
    causation_id=st.none() | WORD,
    partition_key=st.none() | WORD,
    sequence=st.none() | st.integers(0, 10**20 - 1),
)
TRACES = st.none() | st.fixed_dictionaries({"traceparent": WORD}, optional={"tracestate": WORD})


def read_by_sdk(data: bytes) -> BaseCloudEvent:
    """Return what the SDK makes of a message; it checks all attributes."""
    return JSONFormat().read(CloudEvent, data)


def attributes_of(event: StayCoded, trace: dict[str, str] | None) -> dict[str, Any]:
    """Return the attributes that CloudEvents readers are to see of an event."""
    seen = {
        "specversion": "1.0",
        "id": event.id,
        "source": "/services/coding",
        "type": "domain_coding_stay_coded",
        "time": event.occurred_at,
        "subject": event.aggregate_id,
        "datacontenttype": "application/json",
        "dataschema": "urn:domainstream:events/domain_coding_stay_coded/2",
        "correlationid": event.correlation_id,
        "causationid": event.causation_id,
        "partitionkey": event.partition_key,
        "sequence": None if event.sequence is None else str(event.sequence).zfill(20),
        **(trace or {}),
    }
    return {name: value for name, value in seen.items() if value is not None}


@settings(deadline=None)
@given(event=EVENTS, trace=TRACES)
def test_sdk_reads_every_attribute_that_we_write(event: StayCoded, trace: dict[str, str] | None) -> None:
    """Whatever the event, the SDK sees exactly the attributes that we mean, and no others."""
    seen = read_by_sdk(EventEncoder("coding").encode(event, trace))
    assert seen.get_attributes() == attributes_of(event, trace)


@settings(deadline=None)
@given(event=EVENTS)
def test_sdk_reads_the_payload_that_we_write(event: StayCoded) -> None:
    """Whatever the payload, the SDK sees its fields and values."""
    payload = event.payload
    assert read_by_sdk(EventEncoder("coding").encode(event)).get_data() == {
        "code": payload.code,
        "score": payload.score,
        "tags": payload.tags,
    }


@settings(deadline=None)
@given(event=EVENTS, trace=TRACES)
def test_we_read_what_the_sdk_writes(event: StayCoded, trace: dict[str, str] | None) -> None:
    """An event that a CloudEvents producer writes with our attributes is the event that we would have written."""
    data = {"code": event.payload.code, "score": event.payload.score, "tags": event.payload.tags}
    written = JSONFormat().write(CloudEvent(attributes_of(event, trace), data))
    assert EventDecoder([StayCoded]).decode(written) == event


@settings(deadline=None)
@given(event=EVENTS, trace=TRACES)
def test_what_the_sdk_passes_on_stays_the_same_message(event: StayCoded, trace: dict[str, str] | None) -> None:
    """A CloudEvents router between producer and consumer changes no attribute."""
    ours = EventEncoder("coding").encode(event, trace)
    routed = JSONFormat().write(read_by_sdk(ours))
    ignored = {"data": b""}
    assert _fields(read_message(routed)) | ignored == _fields(read_message(ours)) | ignored
    assert EventDecoder([StayCoded]).decode(routed) == event


def test_extensions_of_others_are_skipped() -> None:
    """An event with extension attributes of other systems is read as if it had none."""
    event = StayCoded(aggregate_id="stay-1", payload=Coded(code="J18.9", score=1.0, tags={}))
    seen = read_by_sdk(EventEncoder("coding").encode(event))
    data: Any = seen.get_data()
    extended = CloudEvent({**seen.get_attributes(), "comexampleextension": "x"}, data)
    assert EventDecoder([StayCoded]).decode(JSONFormat().write(extended)) == event


def _fields(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}
