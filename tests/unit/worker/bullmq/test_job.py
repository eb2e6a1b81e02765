"""Reading a job from what BullMQ keeps of it, and what is told about it."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from support.working import held

from domainstream.worker.attempt_result import Completed, Delayed, Failed
from domainstream.worker.bullmq.job import HeldJob, held_job
from domainstream.worker.bullmq.job_update import COMPLETE, DELAY, FAIL, RETRY, JobUpdates

STEPS = JobUpdates(metrics=None)


def job(**fields: bytes) -> HeldJob:
    """Read a job with these fields."""
    flat = [part for name, value in fields.items() for part in (name.encode(), value)]
    return held_job(flat, b"event-1", b"token")


def unpacked(packed: Any) -> Any:
    """Read what a script is given."""
    return msgspec.msgpack.decode(packed)


def test_a_job_with_everything() -> None:
    """Fields become what handlers and the engine need."""
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


def test_a_job_with_nothing() -> None:
    """A hash that lacks everything, as after a removal, is a job all the same, which will fail by its data."""
    read = job()
    assert read.received.attempt == 1
    assert read.received.attempts == 1
    assert read.received.backoff is None
    assert read.received.data == ""
    assert read.deferred_failure is None
    assert read.stacks == b""


@pytest.mark.parametrize(
    "options", [b"rubbish", b"[]", b'{"attempts":"many"}', b'{"attempts":-1}', b'{"attempts":1e99}']
)
def test_options_that_make_no_sense(options: bytes) -> None:
    """There is one attempt."""
    assert job(opts=options).received.attempts == 1


def test_text_that_is_no_utf8() -> None:
    """It reaches the handler's side, where it fails its own job."""
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
def test_what_is_kept(remove: bytes, kept: dict[str, int]) -> None:
    """As Node's worker reads `removeOnComplete` and `removeOnFail`."""
    options = b'{"removeOnComplete":' + remove + b',"removeOnFail":' + remove + b"}"
    for result in (Completed(), Failed("no", "stack")):
        assert unpacked(STEPS.after(job(opts=options), result).details[0])["keepJobs"] == kept


def test_completed() -> None:
    """The lock's token and the metrics go with it."""
    update = JobUpdates(metrics=60).after(held("t"), Completed())
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
def test_coming_again(result: Delayed | Failed, kind: str, first: object, second: str) -> None:
    """A delay that counts as an attempt or does not; at once where there is no pause after a failure."""
    update = STEPS.after(held("t"), result)
    assert (update.kind, *update.details[:2]) == (kind, first, second)


def test_retry_of_a_job_that_goes_before_others() -> None:
    """It goes before them again."""
    assert STEPS.after(job(opts=b'{"lifo":true}'), Failed("no", "stack", timedelta())).details[0] == "RPUSH"


@pytest.mark.parametrize(
    ("limit", "kept"), [(b"null", ["a", "b", "c"]), (b"2", ["b", "c"]), (b"0", []), (b'"x"', ["a", "b", "c"])]
)
def test_stacks(limit: bytes, kept: list[str]) -> None:
    """The newest are kept, as many as the job says."""
    failed = job(opts=b'{"stackTraceLimit":' + limit + b"}", stacktrace=b'["a","b"]')
    update = STEPS.after(failed, Failed("why", "c"))
    fields = unpacked(update.details[2])
    assert update.kind == FAIL
    assert fields[:3] == ["failedReason", "why", "stacktrace"]
    assert msgspec.json.decode(fields[3]) == kept


def test_stacks_that_are_rubbish() -> None:
    """They are replaced."""
    update = STEPS.after(job(stacktrace=b"rubbish"), Failed("why", "c"))
    assert unpacked(update.details[2])[3] == '["c"]'
