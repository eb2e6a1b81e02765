"""Failures are grouped by what failed and where, as the traces of Python and of Node.js say it."""

import sys

import pytest
from support.consuming import delivery, evaluated

from domainstream.event import read_message
from domainstream.queue import job_data
from domainstream.queue.bullmq.inspection import JobState
from domainstream.tools.failures import Causes, JobFailures, JobFilter, Newest
from domainstream.tools.traces import error_of, own_frames, place_of

PYTHON = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/domainstream/worker/prepared_call.py", line 80, in run
    await self.chain(self)
  File "/app/billing/handlers.py", line 12, in bill_stay
    await store(event)
  File "/app/billing/store.py", line 40, in store
    connection = await engine.connect()
  File "/venv/lib/python3.11/site-packages/sqlalchemy/engine.py", line 9, in connect
    raise error
  File "/usr/lib/python3.11/asyncio/tasks.py", line 3, in wait
sqlalchemy.exc.OperationalError: no answer
on two lines
"""
NODE = """TypeError: Cannot read properties of undefined
    at price (/app/billing/price.js:7:11)
    at async file:///app/billing/worker.mjs:20:3
    at async Worker.processJob (/app/node_modules/bullmq/dist/worker.js:500:28)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)"""
GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "/app/billing/handlers.py", line 5, in bill_stay
  |     async with TaskGroup() as tasks:
  | ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)
"""


GAVE_UP = """Traceback (most recent call last):
  File "/app/prices.py", line 7, in price
    TARIFFS[code]
KeyError: 'I21.0'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/prices.py", line 9, in price
    raise GiveUp("no tariff") from error
domainstream.worker.outcomes.GiveUp: no tariff
"""


def job(
    *traces: str, reason: str = "no answer", ended: int | None = None, name: str = "bill-stay", job_id: str = "event-1"
) -> JobState:
    """Return a failed job with these traces."""
    delivered = delivery(evaluated())
    return JobState(
        queue="billing",
        job_id=job_id,
        name=name,
        state="failed",
        data=job_data(delivered, read_message(delivered.data or b"")),
        added_ms=1,
        started_ms=2,
        ended_ms=ended,
        attempts=1,
        starts=1,
        max_attempts=3,
        failed_reason=reason,
        traces=traces,
    )


def grouped(jobs: list[JobState]) -> list[JobFailures]:
    """Return the groups of these jobs."""
    causes = Causes()
    for one in jobs:
        causes.add(one)
    return causes.largest_first()


@pytest.mark.parametrize(
    ("trace", "reason", "error"),
    [
        (PYTHON, "no answer", "OperationalError"),
        (NODE, "Cannot read properties of undefined", "TypeError"),
        (GROUP, "ExceptionGroup: unhandled errors", "ExceptionGroup"),
        (GAVE_UP, "no tariff", "KeyError"),
        ("GiveUp: no tariff", "no tariff", "GiveUp"),
        ("KeyError: 'stay'", "'stay'", "KeyError"),
        ("", "job stalled more than allowable limit", "Error"),
        ("", "UnknownEventVersionError: version 2", "UnknownEventVersionError"),
    ],
)
def test_type_of_the_error_is_read_from_the_trace_or_else_from_the_reason(trace: str, reason: str, error: str) -> None:
    """Python names it in the last line, Node.js in the first; without a trace the reason does, and a cause counts."""
    assert error_of(job(*filter(None, [trace]), reason=reason)) == error


def test_job_that_has_not_failed_has_no_error() -> None:
    """A job without a reason is in its first attempt, or waits for it."""
    assert error_of(job(reason="")) == ""


@pytest.mark.parametrize(
    ("trace", "frames"),
    [
        (PYTHON, ["/app/billing/handlers.py:12 in bill_stay", "/app/billing/store.py:40 in store"]),
        (NODE, ["/app/billing/worker.mjs:20 in <anonymous>", "/app/billing/price.js:7 in price"]),
        (GROUP, ["/app/billing/handlers.py:5 in bill_stay"]),
        ("no trace at all", []),
    ],
)
def test_own_frames_leave_out_libraries(trace: str, frames: list[str]) -> None:
    """Frames of the standard library, of installed packages and of domainstream are left out; the innermost is last."""
    assert own_frames(trace) == frames


def test_place_is_that_of_the_last_trace() -> None:
    """Of several attempts the last one says where the job fails now."""
    assert place_of(job(NODE, PYTHON)) == "/app/billing/store.py:40 in store"


def test_failures_of_one_cause_are_one_group() -> None:
    """Jobs that failed alike are counted together, with the first and the last time and an example to show."""
    jobs = [job(PYTHON, ended=number, job_id=f"event-{number}") for number in (20, 30, 10)]
    (group,) = grouped(jobs)
    assert group.jobs == 3
    assert (group.first_ms, group.last_ms) == (10, 30)
    assert group.example == "event-30"
    assert (group.error, group.where) == ("OperationalError", "/app/billing/store.py:40 in store")


def test_largest_group_comes_first() -> None:
    """Another job name, error or place makes another group."""
    jobs = [job(NODE), job(PYTHON, name="print-bill"), job(PYTHON), job(PYTHON)]
    assert [group.jobs for group in grouped(jobs)] == [2, 1, 1]


def test_hundred_thousand_jobs_are_not_kept_in_memory() -> None:
    """Grouping and listing keep a line or a record of each job, not the job with its data and its traces."""
    one, causes, newest = job(PYTHON), Causes(), Newest(10)
    references = sys.getrefcount(one)
    causes.add(one)
    newest.add(one)
    assert sys.getrefcount(one) == references
    assert newest.records()[0].traces == ()
    assert newest.records()[0].data is None


def test_newest_jobs_are_kept_newest_first() -> None:
    """Of many jobs only the newest are listed one by one, in whatever order they are read."""
    newest = Newest(2)
    for ended in (20, 40, 10, 30):
        newest.add(job(PYTHON, ended=ended, job_id=f"event-{ended}"))
    assert [record.id for record in newest.records()] == ["event-40", "event-30"]


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        (JobFilter(), 3),
        (JobFilter(job="print-bill"), 1),
        (JobFilter(error="OperationalError"), 2),
        (JobFilter(error="Operational"), 0),
        (JobFilter(since_ms=20), 2),
        (JobFilter(job="bill-stay", since_ms=30), 1),
        (JobFilter(key=evaluated().aggregate_id), 3),
        (JobFilter(key="another stay"), 0),
    ],
)
def test_filter_matches_jobs_by_all_that_is_given(chosen: JobFilter, count: int) -> None:
    """Name, error, time and aggregate are compared exactly; what is not given matches every job."""
    jobs = [job(NODE, ended=10), job(PYTHON, name="print-bill", ended=20), job(PYTHON, ended=30)]
    assert sum(map(chosen.matches, jobs)) == count
