"""What is read of the jobs that BullMQ stores, what is reported about them, and what follows from the answers."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from support.working import held

from domainstream.worker.bullmq.job import (
    COMPLETE,
    DELAY,
    FAIL,
    RETRY,
    HeldJob,
    JobUpdate,
    handle_rejection,
    held_job,
    outcome_update,
)
from domainstream.worker.outcomes import Completed, Delayed, Failed


def job(**fields: bytes) -> HeldJob:
    """Read a job with these fields."""
    flat = [part for name, value in fields.items() for part in (name.encode(), value)]
    return held_job(flat, b"event-1", b"token")


def unpacked(packed: Any) -> Any:
    """Unpack an argument of a script."""
    return msgspec.msgpack.decode(packed)


def test_job_with_every_field() -> None:
    """The fields of a job's hash become what handlers and the engine need."""
    options = b'{"attempts":4,"backoff":{"type":"fixed","delay":5},"removeOnComplete":3,"jobId":"event-1"}'
    read = job(name=b"price-stay", data=b'{"a":1.10}', opts=options, atm=b"2", defa=b"doom", rjk=b"scheduler")
    assert read.received.id == "event-1"
    assert read.received.name == "price-stay"
    assert read.received.data == '{"a":1.10}'
    assert read.received.attempt == 3
    assert read.received.attempts == 4
    assert read.received.backoff == {"type": "fixed", "delay": 5}
    assert read.token == "token"
    assert read.options.remove_on_complete == 3
    assert read.deferred_failure == "doom"
    assert read.scheduler == "scheduler"


def test_job_without_fields() -> None:
    """An empty hash, as after a removal, is still read as a job, which its data will make fail."""
    read = job()
    assert read.received.attempt == 1
    assert read.received.attempts == 1
    assert read.received.backoff is None
    assert read.received.data == ""
    assert read.deferred_failure is None
    assert read.stacks == b""


@pytest.mark.parametrize(
    "options",
    [
        *(b"rubbish", b"[]", b'{"attempts":"many"}', b'{"attempts":-1}', b'{"attempts":1e99}'),
        *(b'{"backoff":"\xff"}', b'{"backoff":' + b"[" * 100_000),
    ],
    ids=["rubbish", "no object", "many", "negative", "huge", "no UTF-8", "nested too deep"],
)
def test_invalid_options(options: bytes) -> None:
    """A job with invalid options has one attempt."""
    assert job(opts=options).received.attempts == 1


def test_data_that_is_not_utf8() -> None:
    """Data that is not UTF-8 reaches the handler's side, where it fails its own job."""
    assert job(data=b"\xff").received.data.encode("utf-8", "surrogateescape") == b"\xff"


@pytest.mark.parametrize(
    ("remove", "kept"),
    [
        (b"true", {"count": 0}),
        (b"false", {"count": -1}),
        (b"null", {"count": -1}),
        (b"7", {"count": 7}),
        (b'{"age":60}', {"age": 60}),
    ],
)
def test_which_finished_jobs_are_kept(remove: bytes, kept: dict[str, int]) -> None:
    """The options `removeOnComplete` and `removeOnFail` mean what they mean to Node's worker."""
    options = b'{"removeOnComplete":' + remove + b',"removeOnFail":' + remove + b"}"
    for result in (Completed(), Failed("no", "stack")):
        assert unpacked(outcome_update(job(opts=options), result, None).details[0])["keepJobs"] == kept


def test_completed() -> None:
    """A completed job is reported with the token of its lock and the length of its metrics."""
    update = outcome_update(held("t"), Completed(), metrics=60)
    packed = unpacked(update.details[0])
    assert update.kind == COMPLETE
    assert update.ends is True
    assert update.details[1] == "null"
    assert packed["token"] == "t"
    assert packed["maxMetricsSize"] == 60
    assert packed["attempts"] == 1


@pytest.mark.parametrize(
    ("result", "kind", "first", "second"),
    [
        (Delayed(timedelta(seconds=1.5)), DELAY, 1500, "1"),
        (Delayed(timedelta()), DELAY, 0, "1"),
        (Failed("no", "stack", timedelta(milliseconds=20)), DELAY, 20, "0"),
        (Failed("no", "stack", timedelta()), RETRY, "LPUSH", ""),
    ],
)
def test_retries(result: Delayed | Failed, kind: str, first: object, second: str) -> None:
    """A delay counts as an attempt or does not; a failure without a pause is retried at once."""
    update = outcome_update(held("t"), result, None)
    assert (update.kind, *update.details[:2]) == (kind, first, second)


def test_retry_of_a_lifo_job() -> None:
    """A job that was added to the front of its queue returns to the front."""
    assert outcome_update(job(opts=b'{"lifo":true}'), Failed("no", "stack", timedelta()), None).details[0] == "RPUSH"


@pytest.mark.parametrize(
    ("limit", "kept"), [(b"null", ["a", "b", "c"]), (b"2", ["b", "c"]), (b"0", []), (b'"x"', ["a", "b", "c"])]
)
def test_stacks(limit: bytes, kept: list[str]) -> None:
    """The newest stack traces are kept, up to the limit of the job."""
    failed = job(opts=b'{"stackTraceLimit":' + limit + b"}", stacktrace=b'["a","b"]')
    update = outcome_update(failed, Failed("why", "c"), None)
    fields = unpacked(update.details[2])
    assert update.kind == FAIL
    assert fields[:3] == ["failedReason", "why", "stacktrace"]
    assert msgspec.json.decode(fields[3]) == kept


@pytest.mark.parametrize("stacks", [b"rubbish", b'["\xff"]'], ids=["no JSON", "no UTF-8"])
def test_invalid_stacks(stacks: bytes) -> None:
    """Stack traces that are not JSON are replaced."""
    update = outcome_update(job(stacktrace=stacks), Failed("why", "c"), None)
    assert unpacked(update.details[2])[3] == '["c"]'


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (-4, "the job has children that are not done"),
        (-9, "the job has children that failed"),
        (-2, None),
        (-6, None),
        (-99, None),
        (b"WRONGTYPE", None),
    ],
)
def test_what_follows_a_rejected_completion(answer: int | bytes, reason: str | None) -> None:
    """A job that cannot be completed because of its children must fail; any other rejection needs no other outcome."""
    assert handle_rejection(JobUpdate(COMPLETE, held("t"), 0), answer, "q") == reason


@pytest.mark.parametrize(
    ("answer", "repeated", "text"),
    [
        (-6, False, "worker.outcome_rejected queue=q job=event-1 name=price-stay outcome=complete reason=its lock had"),
        (-99, False, "reason=BullMQ answered -99"),
        (-1, True, ""),
        (b"WRONGTYPE", True, "worker.outcome_failed queue=q job=event-1 name=price-stay reason=WRONGTYPE"),
    ],
)
def test_rejections_are_logged(
    answer: int | bytes, repeated: bool, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A rejection is logged, except that of a repeated update, which only means that the server has it already."""
    handle_rejection(JobUpdate(COMPLETE, held("t"), 0, repeated=repeated), answer, "q")
    assert text in caplog.text
    assert bool(caplog.text) is bool(text)


@pytest.mark.parametrize(
    ("reason", "stored"),
    [(b"HandlerNotFoundError: none", ("failedReason", "")), (b"ConnectionError: no database", None)],
    ids=["waited", "failed"],
)
def test_postponed_job_keeps_no_reason_why_it_waited(reason: bytes, stored: tuple[str, str] | None) -> None:
    """`RetryLater` forgets that the job waited for a build that handles it, and keeps the error of an attempt."""
    update = outcome_update(job(ats=b"2", failedReason=reason), Delayed(timedelta(seconds=1)), None)
    assert update.details[2] == "" if stored is None else tuple(unpacked(update.details[2])) == stored
