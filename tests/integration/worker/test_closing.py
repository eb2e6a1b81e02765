"""The end of a worker: running jobs finish, or return to the queue and are retried at once."""

import asyncio

import pytest
from redis.asyncio import Redis
from support.consuming import PATIENCE, BullJobs, until
from support.working import Diary, Valuation, job_of, jobs_of, working

from domainstream.redis.link import RedisLink
from domainstream.testing import EmbeddedServer
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.worker import ReceivedJob
from domainstream.worker.outcomes import AttemptResult


class Hanging:
    """An attempt that never ends, but for a cancellation."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.begun = self.cancelled = 0

    async def __call__(self, job: ReceivedJob) -> AttemptResult:
        """Wait for ever."""
        self.started.set()
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1
        raise AssertionError


async def test_late_jobs_are_handed_back(queue: Valuation) -> None:
    """After the grace attempts are cancelled; another worker gets their jobs at once, in their first attempt."""
    hanging, diary = Hanging(), Diary()
    await queue.add(*jobs_of(5))
    async with working(queue.engine(hanging, grace=0.05)):
        await until(lambda: hanging.begun == 5)
    assert hanging.cancelled == 5
    assert await queue.jobs.ids("active") == []
    assert len(await queue.jobs.ids()) == 5
    async with working(queue.engine(diary)):
        await queue.ended("completed", 5)
    assert {(await queue.jobs.fields(job_id))["atm"] for job_id in diary.ids} == {b"1"}


async def test_jobs_that_arrive_at_the_end_are_handed_back(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that arrives while the worker is stopping is not started; it returns to the queue unchanged."""
    run, stopping = RedisLink.run, asyncio.Event()

    async def late(link: RedisLink, *arguments: object) -> object:
        answer = await run(link, *arguments)  # type: ignore[arg-type]
        if any(answer[0][1]):
            stopping.set()
            await asyncio.sleep(0.05)
        return answer

    monkeypatch.setattr(RedisLink, "run", late)
    await queue.add(*jobs_of(3))
    diary = Diary()
    async with asyncio.timeout(PATIENCE):
        await queue.engine(diary).run(stopping)
    assert diary.ids == []
    assert len(await queue.jobs.ids()) == 3
    assert await queue.jobs.ids("active") == []


async def test_second_cancellation_ends_at_once(queue: Valuation) -> None:
    """A second cancellation cancels the attempts and leaves no task behind; the jobs are retried later."""
    hanging = Hanging()
    await queue.add(job_of())
    task = asyncio.create_task(queue.engine(hanging).run(asyncio.Event()))
    await hanging.started.wait()
    task.cancel()
    async with asyncio.timeout(1):
        await asyncio.wait([task])
    assert task.cancelled() is True
    assert hanging.cancelled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_end_without_a_server(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A worker whose server is gone ends soon, and logs the jobs whose outcomes it could not report."""
    monkeypatch.setattr("domainstream.worker.bullmq.engine.SHUTDOWN_TIMEOUT", 0.3)
    with EmbeddedServer() as server:
        async with Redis.from_url(server.url) as redis, FaultProxy(server.url) as proxy:
            queue = Valuation(server.url, "bull", BullJobs(redis, "bull", "valuation"))
            hanging = Hanging()
            await queue.add(job_of())
            async with asyncio.timeout(2), working(queue.engine(hanging, url=proxy.url, grace=0.05)):
                await hanging.started.wait()
                proxy.swallow()
    assert "worker.outcomes_unreported queue=valuation jobs=['event-1']" in caplog.text


async def test_connections_are_closed(queue: Valuation, redis: Redis) -> None:
    """A worker that has ended leaves no connection behind."""
    before = len(await redis.client_list())
    diary = Diary()
    await queue.add(job_of())
    async with working(queue.engine(diary)):
        await queue.ended("completed")
        assert len(await redis.client_list()) >= before + 3

    async def gone() -> bool:
        return len(await redis.client_list()) <= before

    await until(gone)
