"""Faults between worker and server: no job is lost, none runs twice that need not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs, until
from support.working import Diary, Valuation, job_of, jobs_of, working

from domainstream.testing import EmbeddedServer
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.worker import ReceivedJob
from domainstream.worker.bullmq.round_trip import RoundTrip
from domainstream.worker.bullmq.scripts import round_trip_script
from domainstream.worker.bullmq.tracker import JobTracker
from domainstream.worker.outcomes import AttemptResult, Completed, Failed

SCRIPT = round_trip_script().sha.encode()
SHORT = timedelta(milliseconds=100)


@pytest.fixture
async def proxy(queue: Valuation) -> AsyncIterator[FaultProxy]:
    """A proxy in front of the server; only the engine goes through it."""
    async with FaultProxy(queue.url) as proxy:
        yield proxy


async def begin_with_losses(queue: Valuation, proxy: FaultProxy, losses: int) -> Diary:
    """Run an engine that loses its first replies, until all jobs are done or none is waiting."""
    diary = Diary()

    async def all_taken() -> bool:
        return not await queue.jobs.ids()

    await queue.add(*jobs_of(6))
    proxy.lose_replies_to(SCRIPT, losses)
    async with working(queue.engine(diary, url=proxy.url)):
        await until(lambda: proxy.faults >= losses)
        await until(all_taken)
        await asyncio.sleep(0.3)  # for what the last reply held
    return diary


async def load_scripts(queue: Valuation) -> None:
    """Let the server know the script, so that no reply that is lost is a NOSCRIPT."""
    await queue.add(job_of(job_id="event-first"))
    async with working(queue.engine(Diary())):
        await queue.ended("completed")


@pytest.mark.parametrize("losses", [1, 2, 5])
async def test_lost_replies_to_taking(queue: Valuation, proxy: FaultProxy, losses: int) -> None:
    """Jobs that were given away in a reply that never came are found and handled, once, long before the lock ends."""
    await load_scripts(queue)
    diary = await begin_with_losses(queue, proxy, losses)
    assert Counter(diary.ids) == Counter(f"event-{number}" for number in range(6))
    assert await queue.jobs.ids("active") == []


async def test_control_without_a_search_taken_jobs_stay_locked(
    queue: Valuation, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the search protects against does happen without it."""
    failed = JobTracker.failed

    def forget(tracker: JobTracker, round_trip: RoundTrip) -> None:
        failed(tracker, round_trip)
        tracker._unanswered.clear()

    monkeypatch.setattr(JobTracker, "failed", forget)
    await load_scripts(queue)
    diary = await begin_with_losses(queue, proxy, 1)
    assert len(await queue.jobs.ids("active")) == 6 - len(diary.ids) > 0


@pytest.mark.parametrize("result", [Completed(), Failed("no", "stack")], ids=["completed", "failed"])
async def test_lost_reply_to_the_outcome(
    queue: Valuation, proxy: FaultProxy, caplog: pytest.LogCaptureFixture, result: AttemptResult
) -> None:
    """An outcome whose reply was lost is reported again without a warning, and the job does not run twice."""
    attempts: list[str] = []

    async def attempt(job: ReceivedJob) -> AttemptResult:
        attempts.append(job.id)
        proxy.lose_replies_to(SCRIPT, 1)
        return result

    await load_scripts(queue)
    await queue.add(job_of())
    state = "completed" if isinstance(result, Completed) else "failed"
    async with working(queue.engine(attempt, url=proxy.url)):
        await until(lambda: proxy.faults == 1)
        await queue.ended(state, 2 if state == "completed" else 1)
        await asyncio.sleep(0.3)
    assert attempts == ["event-1"]
    assert ("worker.outcome" in caplog.text) is False


@pytest.mark.parametrize("again", [0.0, 0.05])
async def test_lost_reply_to_a_retry_counts_one_attempt(queue: Valuation, proxy: FaultProxy, again: float) -> None:
    """A failed attempt that is reported twice counts once, even if this worker has got the job again meanwhile."""
    tries: list[int] = []

    async def attempt(job: ReceivedJob) -> AttemptResult:
        tries.append(job.attempt)
        if len(tries) == 1:
            proxy.lose_replies_to(SCRIPT, 1)
            return Failed("no", "stack", timedelta(seconds=again))
        return Completed()

    await load_scripts(queue)
    await queue.add(job_of())
    async with working(queue.engine(attempt, url=proxy.url)):
        await queue.ended("completed", 2)
    assert tries == [1, 2]
    assert (await queue.jobs.fields("event-1"))["atm"] == b"2"


@pytest.mark.parametrize(
    "answer",
    [
        b"-READONLY You can't write against a read only replica.",
        b"-LOADING Redis is loading the dataset in memory",
        b"-MASTERDOWN Link with MASTER is down",
        b"-OOM command not allowed when used memory > 'maxmemory'.",
        b"-BUSY Redis is busy running a script.",
    ],
    ids=lambda answer: answer.split()[0].decode(),
)
async def test_server_that_is_not_ready(queue: Valuation, proxy: FaultProxy, answer: bytes) -> None:
    """The worker tries again on a new connection, which after a failover leads elsewhere, and nothing is lost."""
    diary = Diary()
    proxy.answer(SCRIPT, answer, answer, answer)
    await queue.add(*jobs_of(6))
    async with working(queue.engine(diary, url=proxy.url)):
        await queue.ended("completed", 6)
    assert proxy.faults == 3
    assert len(diary.ids) == 6


async def test_replica_that_becomes_primary() -> None:
    """A server that takes no writes for a while refuses before anything is half done."""
    diary = Diary()
    with EmbeddedServer() as server:
        async with Redis.from_url(server.url) as redis:
            queue = Valuation(server.url, "bull", BullJobs(redis, "bull", "valuation"))
            async with working(queue.engine(diary)):
                await queue.add(job_of())
                await queue.ended("completed")
                await redis.replicaof("127.0.0.1", "1")
                await asyncio.sleep(0.2)  # for what goes wrong meanwhile
                await redis.replicaof("NO", "ONE")
                await queue.add(job_of(job_id="event-2"))
                await queue.ended("completed", 2)
    assert diary.ids == ["event-1", "event-2"]


async def test_scripts_that_the_server_forgot(queue: Valuation, redis: Redis) -> None:
    """After SCRIPT FLUSH the next call brings the script along."""
    diary = Diary()
    async with working(queue.engine(diary)):
        for number in range(3):
            await redis.script_flush()
            await queue.add(job_of(job_id=f"event-{number}"))
            await queue.ended("completed", number + 1)
    assert diary.ids == ["event-0", "event-1", "event-2"]


async def test_connections_cut_off_again_and_again(queue: Valuation, redis: Redis) -> None:
    """Each job is handled, and once, while all connections are killed every few milliseconds."""
    diary = Diary()
    await queue.add(*jobs_of(400))
    async with working(queue.engine(diary)):
        while len(diary.ids) < 400:
            for client in await redis.client_list():
                if client["name"].startswith((queue.prefix, "domainstream-worker")):
                    await redis.client_kill_filter(_id=client["id"])
            await asyncio.sleep(0.02)
        await queue.ended("completed", 400)
    assert Counter(diary.ids).most_common(1)[0][1] == 1


async def test_full_memory_does_not_keep_a_queue_from_draining() -> None:
    """A server that takes no more jobs lets those it has be handled."""
    diary = Diary()
    with EmbeddedServer() as server:
        async with Redis.from_url(server.url) as redis:
            queue = Valuation(server.url, "bull", BullJobs(redis, "bull", "valuation"))
            await queue.add(*jobs_of(20))
            await redis.config_set("maxmemory", "1")
            async with working(queue.engine(diary)):
                await queue.ended("completed", 20)
    assert len(diary.ids) == 20


async def test_job_whose_keys_are_broken(queue: Valuation, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """A server error for one job's outcome is logged, and the outcomes beside it are recorded."""

    async def attempt(job: ReceivedJob) -> AttemptResult:
        if job.id == "event-1":
            await redis.set(f"{queue.jobs.key}:event-1:dependencies", "no set")
        return Completed()

    await queue.add(job_of(), *jobs_of(1))
    async with working(queue.engine(attempt)):
        await queue.ended("completed")
        await until(
            lambda: "worker.outcome_failed queue=valuation job=event-1 name=price-stay reason=WRONGTYPE" in caplog.text
        )
    assert await queue.jobs.ids("completed") == ["event-0"]


async def test_job_that_cannot_be_taken(queue: Valuation, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """A job that cannot be fetched is logged, also by the stalled check, and the jobs behind it are handled."""
    diary = Diary()
    await queue.add(*jobs_of(3))
    await redis.set(f"{queue.jobs.key}:event-0", "no hash")
    async with working(queue.engine(diary, lock=SHORT, stalled_interval=SHORT, concurrency=1)):
        await queue.ended("completed", 2)
        await until(lambda: "worker.locks_failed queue=valuation reason=ResponseError: WRONGTYPE" in caplog.text)
    assert "worker.fetch_failed queue=valuation reason=WRONGTYPE" in caplog.text
    assert diary.ids == ["event-1", "event-2"]
