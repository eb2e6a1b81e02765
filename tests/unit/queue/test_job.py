"""How a delivered event becomes a job."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.consuming import EVALUATED, delivery, evaluated

from domainstream.errors import InvalidEnvelopeError
from domainstream.event import read_message
from domainstream.queue import JobOrigin, RedisEvent, job_data, job_id, job_origin
from domainstream.stream import Delivery


def data_of(delivered: Delivery) -> bytes:
    """Return the job data of a delivery."""
    return job_data(delivered, read_message(delivered.data or b""))


def test_job_id_is_the_event_id_behind_a_prefix() -> None:
    """The id of a job is the prefix and the UUID of its event, which stays readable."""
    assert job_id("0198c1de-7a3c-7000-8000-000000000000") == "event-0198c1de-7a3c-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("event_id", "expected"),
    [
        ("42", "event-42"),
        ("meta", "event-meta"),
        ("a:b", "event-a.3ab"),
        ("a.3ab", "event-a.2e3ab"),
        ("é", "event-.c3.a9"),
    ],
)
def test_job_id_is_safe_for_bullmq(event_id: str, expected: str) -> None:
    """No id is all digits, is one of the queue's own keys, or contains a colon."""
    assert job_id(event_id) == expected


ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.tuples(ids, ids), st.tuples(ids, ids))
def test_different_events_and_jobs_have_different_ids(one: tuple[str, str], other: tuple[str, str]) -> None:
    """The escape is injective, with and without the job's name in it."""
    made = [job_id(event_id, job=job) for event_id, job in (one, other)]
    assert (made[0] == made[1]) == (one == other)
    assert all(re.fullmatch(r"event-[A-Za-z0-9_.-]*", name) for name in made)


def test_job_data_is_the_event_and_where_it_came_from() -> None:
    """The data has all fields of the event, and the two that consumers of the original system read."""
    event = evaluated(correlation_id="stay-7")
    delivered = delivery(event, "1700000000123-4")
    data = json.loads(data_of(delivered))
    origin = {"_redisEvent": {"name": EVALUATED.value, "id": "1700000000123-4", "timestamp": 1700000000123}}
    assert data == {**json.loads(delivered.data or b""), **origin, "correlationId": "stay-7"}


def test_event_without_correlation_correlates_with_itself() -> None:
    """The first event of a business transaction gives it its name."""
    event = evaluated()
    assert json.loads(data_of(delivery(event)))["correlationId"] == event.id


def with_payload(payload: bytes, **more: Any) -> Delivery:
    """Return a delivery whose payload and further fields are given as they are on the wire."""
    envelope = json.loads(delivery(evaluated()).data or b"")
    envelope["data"] = msgspec.Raw(payload)
    return Delivery(EVALUATED, "1-0", msgspec.json.encode({**envelope, **more}))


def test_payload_stays_byte_by_byte() -> None:
    """Numbers and whitespace that a parser would write differently are copied as they are."""
    payload = b'{ "a": 1.50, "b": 1e2, "c": 0.1000000000000000055, "d": "\\u00e9" }'
    assert b'"data":' + payload in data_of(with_payload(payload))


def test_forged_origin_is_replaced() -> None:
    """An event cannot claim to come from elsewhere."""
    data = data_of(with_payload(b"{}", _redisEvent={"name": "forged"}, correlationId=["forged"]))
    assert b"forged" not in data
    assert job_origin(data).redis_event == RedisEvent(EVALUATED, "1-0", 1)


def test_origin_of_a_job_that_came_from_no_stream_is_empty() -> None:
    """A job that was added by hand need not say where it came from."""
    assert job_origin(delivery(evaluated()).data or b"") == JobOrigin()


def test_malformed_origin_is_rejected() -> None:
    """An origin with fields of the wrong types is an error."""
    with pytest.raises(InvalidEnvelopeError, match="_redisEvent or correlationId"):
        job_origin(b'{"_redisEvent": 3}')
