"""Locks: kept while handlers run, whatever the event loop does; jobs of dead workers come again."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from support.consuming import until
from support.working import Diary, Valuation, job_of, working

from domainstream.worker import ReceivedJob
from domainstream.worker.attempt_result import AttemptResult, Completed
from domainstream.worker.bullmq.lock_renewer import LockRenewer

LOCK = timedelta(milliseconds=300)
LOOK = timedelta(milliseconds=100)


def locked(queue: Valuation) -> bool:
    """Tell whether event-1 is locked, without the event loop."""
    with BlockingRedis.from_url(queue.url) as redis:
        return bool(redis.exists(f"{queue.jobs.key}:event-1:lock"))


async def blocked(queue: Valuation) -> bool:
    """Let one handler block the event loop for longer than a lock lasts; tell whether the job beside it was locked."""
    going_on = asyncio.Event()
    found: list[bool] = []

    async def attempt(job: ReceivedJob) -> AttemptResult:
        if job.id == "event-1":
            await going_on.wait()
            return Completed()
        time.sleep(3 * LOCK.total_seconds())  # noqa: ASYNC251 - what is tested
        found.append(locked(queue))
        going_on.set()
        return Completed()

    await queue.add(job_of(), job_of(job_id="event-2"))
    async with working(queue.engine(attempt, lock=LOCK)):
        await until(lambda: found)
    return found[0]


async def test_handler_that_blocks_the_loop_costs_nobody_a_lock(queue: Valuation) -> None:
    """The locks of the jobs beside it are renewed all the same."""
    assert await blocked(queue)


async def test_control_without_the_keeper_the_lock_is_lost(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the keeper protects against does happen without it."""

    def start(keeper: LockRenewer, lost: Callable[[object], None]) -> None:
        """Do nothing."""

    monkeypatch.setattr(LockRenewer, "start", start)
    assert not await blocked(queue)


async def test_lock_is_renewed_until_the_last_handler_has_ended(queue: Valuation) -> None:
    """Also while the worker closes: a job that takes long completes, and nobody else gets it."""
    started, going_on = asyncio.Event(), asyncio.Event()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        started.set()
        await going_on.wait()
        return Completed()

    await queue.add(job_of())
    other = Diary()
    async with working(queue.engine(attempt, lock=LOCK, stalled_interval=LOOK)) as stopping:
        await started.wait()
        stopping.set()
        async with working(queue.engine(other, lock=LOCK, stalled_interval=LOOK)):
            await asyncio.sleep(4 * LOCK.total_seconds())
            going_on.set()
            await queue.ended("completed")
    assert other.ids == []
    assert ("stc" in await queue.jobs.fields("event-1")) is False


async def test_lost_lock_is_told(queue: Valuation, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """The handler of a job whose lock is gone runs on; the log says so, and that its outcome was refused."""
    started, going_on = asyncio.Event(), asyncio.Event()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        started.set()
        await going_on.wait()
        return Completed()

    await queue.add(job_of())
    async with working(queue.engine(attempt, lock=LOCK)):
        await started.wait()
        await redis.set(f"{queue.jobs.key}:event-1:lock", "another worker's")
        await until(lambda: "job event-1 (price-stay) has lost its lock" in caplog.text)
        going_on.set()
        await until(lambda: "outcome (complete) was refused: its lock had ended, and another" in caplog.text)
    assert await queue.jobs.ids("active") == ["event-1"]


async def abandon(queue: Valuation, redis: Redis) -> None:
    """Leave event-1 active and without a lock, as a worker that died does."""
    await queue.add(job_of())
    key = queue.jobs.key
    await redis.lmove(f"{key}:wait", f"{key}:active")
    await redis.delete(f"{key}:marker")


async def test_jobs_of_dead_workers_come_again(
    queue: Valuation, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The second look finds a job that is active without a lock, and a worker handles it, even one that was idle."""
    await abandon(queue, redis)
    async with working(queue.engine(Diary(), stalled_interval=LOOK)):
        await queue.ended("completed")
    assert (await queue.jobs.fields("event-1"))["stc"] == b"1"
    assert "job event-1 comes again: its worker renewed its lock no more" in caplog.text


@pytest.mark.parametrize(("crashes", "state"), [(9, "completed"), (10, "failed")])
async def test_job_that_brings_down_its_workers_fails_in_the_end(
    queue: Valuation, redis: Redis, crashes: int, state: str
) -> None:
    """Ten times a job comes again; then it fails without being tried."""
    await abandon(queue, redis)
    await redis.hset(f"{queue.jobs.key}:event-1", "stc", str(crashes))
    diary = Diary()
    async with working(queue.engine(diary, stalled_interval=LOOK)):
        await queue.ended(state)
    assert diary.ids == (["event-1"] if state == "completed" else [])


async def test_keeper_survives_an_absent_server(
    queue: Valuation, redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A renewal that fails is repeated soon, well before the lock ends."""
    caplog.set_level(logging.DEBUG, "domainstream.worker")
    call = LockRenewer._call
    failures = [OSError("no"), OSError("no")]

    def failing(keeper: LockRenewer, *arguments: object) -> list[bytes]:
        if arguments[0] == "extendLocks" and failures:
            raise failures.pop()
        return call(keeper, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LockRenewer, "_call", failing)
    monkeypatch.setattr("domainstream.worker.bullmq.lock_renewer.RETRY_PAUSE", 0.02)
    started, going_on = asyncio.Event(), asyncio.Event()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        started.set()
        await going_on.wait()
        return Completed()

    await queue.add(job_of())
    async with working(queue.engine(attempt, lock=LOCK)):
        await started.wait()
        await asyncio.sleep(2 * LOCK.total_seconds())
        going_on.set()
        await queue.ended("completed")
    assert failures == []
