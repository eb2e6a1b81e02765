"""What the engine writes about a job: what Node's BullMQ writes, so that BullMQ's tools show it correctly."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from support.consuming import until
from support.working import Diary, Valuation, job_of, working

from domainstream.queue import JobSettings
from domainstream.worker import ReceivedJob
from domainstream.worker.bullmq.engine import WorkerStats
from domainstream.worker.outcomes import AttemptResult, Completed, Delayed, Failed

AGAIN = timedelta(milliseconds=20)


def ending_in(*results: AttemptResult) -> Callable[[ReceivedJob], Awaitable[AttemptResult]]:
    """Return an attempt that ends with one of `results` after the other."""
    left = list(results)

    async def attempt(job: ReceivedJob) -> AttemptResult:
        return left.pop(0)

    return attempt


async def events(redis: Redis, queue: Valuation) -> list[dict[str, str]]:
    """Return the entries of the queue's event stream."""
    entries: Any = await redis.xrange(f"{queue.jobs.key}:events")
    return [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in entries]


async def test_completed_job(queue: Valuation, redis: Redis) -> None:
    """A completed job has its result, times, worker and counts, and QueueEvents report each of its states."""
    await queue.add(job_of())
    async with working(queue.engine(ending_in(Completed()), name="valuation-1")):
        await queue.ended("completed")
    fields = await queue.jobs.fields("event-1")
    assert fields["returnvalue"] == b"null"
    assert fields["pb"] == b"valuation-1"
    assert fields["atm"] == b"1"
    assert fields["ats"] == b"1"
    assert int(fields["timestamp"]) <= int(fields["processedOn"]) <= int(fields["finishedOn"])
    reported = [(event["event"], event.get("prev")) for event in await events(redis, queue)]
    assert reported[-3:] == [("active", "waiting"), ("completed", "active"), ("drained", None)]


async def test_failed_attempts(queue: Valuation, redis: Redis) -> None:
    """Each attempt leaves its reason and its stack; the last one fails the job and exhausts its retries."""
    await queue.add(job_of())
    async with working(queue.engine(ending_in(Failed("first", "stack 1", AGAIN), Failed("second", "stack 2")))):
        await queue.ended("failed")
    fields = await queue.jobs.fields("event-1")
    assert fields["failedReason"] == b"second"
    assert fields["atm"] == b"2"
    assert fields["ats"] == b"2"
    assert msgspec.json.decode(fields["stacktrace"]) == ["stack 1", "stack 2"]
    reported = [event["event"] for event in await events(redis, queue)]
    assert reported[-7:] == ["active", "delayed", "waiting", "active", "failed", "retries-exhausted", "drained"]


async def test_retry_without_a_pause(queue: Valuation) -> None:
    """A job that is retried at once moves to wait, and its attempt counts."""
    await queue.add(job_of())
    async with working(queue.engine(ending_in(Failed("first", "stack 1", timedelta()), Completed()))):
        await queue.ended("completed")
    fields = await queue.jobs.fields("event-1")
    assert fields["failedReason"] == b"first"
    assert fields["atm"] == b"2"
    assert fields["delay"] == b"0"


async def test_delay_that_a_handler_asks_for_does_not_count(queue: Valuation) -> None:
    """A job that is delayed without having failed is still in its first attempt and has no failure reason."""
    await queue.add(job_of())
    async with working(queue.engine(ending_in(Delayed(AGAIN), Delayed(timedelta()), Completed()))):
        await queue.ended("completed")
    fields = await queue.jobs.fields("event-1")
    assert fields["atm"] == b"1"
    assert fields["ats"] == b"3"
    assert ("failedReason" in fields) is False


async def test_text_that_utf8_cannot_encode(queue: Valuation) -> None:
    """A reason with a lone surrogate is written with a replacement character, and the worker goes on."""
    await queue.add(job_of(), job_of(job_id="event-2"))
    async with working(queue.engine(ending_in(Failed("\udcff", "\udcff"), Completed()), concurrency=1)):
        await queue.ended("completed")
    assert (await queue.jobs.fields("event-1"))["failedReason"] == b"\\udcff"


async def test_data_reaches_the_attempt_as_it_was_written(queue: Valuation) -> None:
    """The data of a job is not parsed and written again, so numbers keep every digit."""
    received: list[ReceivedJob] = []

    async def attempt(job: ReceivedJob) -> AttemptResult:
        received.append(job)
        return Completed()

    data = b'{"a":1.10, "b":12345678901234567890, "c":"\xc3\xa9"}'
    settings = JobSettings(attempts=4, backoff=timedelta(seconds=2), jitter=0)
    await queue.add(job_of(data=data, settings=settings))
    async with working(queue.engine(attempt)):
        await queue.ended("completed")
    job = received[0]
    backoff = {"type": "exponential", "delay": 2000, "jitter": 0, "maxDelay": 3_600_000}
    assert job.data.encode() == data
    assert job.attempt == 1
    assert job.attempts == 4
    assert job.backoff == backoff


@pytest.mark.parametrize(("state", "result"), [("completed", Completed()), ("failed", Failed("no", "stack"))])
async def test_metrics(queue: Valuation, redis: Redis, state: str, result: AttemptResult) -> None:
    """With metrics on, BullMQ counts completed and failed jobs; with metrics off it does not."""
    await queue.add(job_of())
    async with working(queue.engine(ending_in(result))):
        await queue.ended(state)
    assert not await redis.exists(f"{queue.jobs.key}:metrics:{state}")
    await queue.add(job_of(job_id="event-2"))
    async with working(queue.engine(ending_in(result), metrics=60)):
        await queue.ended(state, 2)
    assert await redis.hget(f"{queue.jobs.key}:metrics:{state}", "count") == b"1"


async def test_how_many_completed_jobs_are_kept(queue: Valuation) -> None:
    """The options of each job limit how many completed jobs are kept."""
    settings = JobSettings(keep_completed_count=2)
    diary = Diary()
    async with working(queue.engine(diary, concurrency=1)):
        for number in range(4):
            await queue.add(job_of(job_id=f"event-{number}", settings=settings))
        await until(lambda: len(diary.ids) == 4)
    assert await queue.jobs.ids("completed") == ["event-2", "event-3"]


async def test_progress(queue: Valuation, redis: Redis) -> None:
    """The progress of a running job is stored and reported by QueueEvents; that of other jobs is not accepted."""

    async def attempt(job: ReceivedJob) -> AttemptResult:
        assert engine.update_progress(job.id, {"done": 0.5})
        assert not engine.update_progress("event-2", 1)
        return Completed()

    await queue.add(job_of())
    engine = queue.engine(attempt)
    async with working(engine):
        await queue.ended("completed")
    assert (await queue.jobs.fields("event-1"))["progress"] == b'{"done":0.5}'
    reported = [event.get("data") for event in await events(redis, queue) if event["event"] == "progress"]
    assert reported == ['{"done":0.5}']


async def test_job_with_children_that_failed_fails(queue: Valuation, redis: Redis) -> None:
    """BullMQ does not let a job with failed children complete; it fails instead of staying active forever."""
    await queue.add(job_of())
    await redis.zadd(f"{queue.jobs.key}:event-1:unsuccessful", {"child": 1})
    async with working(queue.engine(ending_in(Completed()))):
        await queue.ended("failed")
    assert (await queue.jobs.fields("event-1"))["failedReason"] == b"the job has children that failed"


async def test_stats(queue: Valuation) -> None:
    """The statistics of an engine count the attempts that are running and the outcomes that were recorded."""
    running: list[WorkerStats] = []
    attempt = ending_in(Delayed(timedelta()), Failed("first", "stack", timedelta()), Completed())

    async def observed(job: ReceivedJob) -> AttemptResult:
        running.append(engine.stats())
        return await attempt(job)

    await queue.add(job_of())
    engine = queue.engine(observed)
    assert engine.stats() == WorkerStats()
    async with working(engine):
        await queue.ended("completed")
    assert running[0] == WorkerStats(running=1)
    assert engine.stats() == WorkerStats(completed=1, delayed=1, failed=1, last_failure="price-stay (event-1)")
