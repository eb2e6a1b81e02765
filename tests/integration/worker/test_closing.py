"""The end of a worker: running jobs finish, or return to the queue and are retried at once."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from support import consuming
from support.consuming import PATIENCE, BullJobs, OptimizationEvaluated, Stubborn, until
from support.consuming import running as running_program
from support.working import Diary, Valuation, job_of, jobs_of, working

from domainstream.lifecycle import ABORT_LIMIT, Lifecycle
from domainstream.redis.link import RedisLink
from domainstream.testing import EmbeddedServer
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.worker import EventConsumer, EventWorker, ReceivedJob, abandoned
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
    run, lifecycle = RedisLink.run, Lifecycle("EventWorker")

    async def late(link: RedisLink, *arguments: object) -> object:
        answer = await run(link, *arguments)  # type: ignore[arg-type]
        if any(answer[0][1]):
            lifecycle.stop()
            await asyncio.sleep(0.05)
        return answer

    monkeypatch.setattr(RedisLink, "run", late)
    await queue.add(*jobs_of(3))
    diary = Diary()
    async with asyncio.timeout(PATIENCE):
        await queue.engine(diary).run(lifecycle)
    assert diary.ids == []
    assert len(await queue.jobs.ids()) == 3
    assert await queue.jobs.ids("active") == []


async def test_second_cancellation_ends_at_once(queue: Valuation) -> None:
    """A second cancellation cancels the attempts, hands their jobs back, and leaves no task behind."""
    hanging = Hanging()
    await queue.add(job_of())
    lifecycle = Lifecycle("EventWorker")
    task = asyncio.create_task(lifecycle.run(partial(queue.engine(hanging).run, lifecycle)))
    await hanging.started.wait()
    task.cancel()
    await lifecycle.stopping.wait()
    task.cancel()
    async with asyncio.timeout(ABORT_LIMIT):
        await asyncio.wait([task])
    assert task.cancelled() is True
    assert hanging.cancelled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert await queue.jobs.ids() == ["event-1"]


@pytest.mark.parametrize("times", [1, 2], ids=["after the grace", "at the second cancellation"])
async def test_job_of_a_handler_that_does_not_end_is_handed_back(
    queue: Valuation, redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A worker waits for a handler that ignores its cancellation no longer than its limit, and lets the lock go."""
    monkeypatch.setattr(abandoned, "CANCELLATION_LIMIT", 0.2)
    stubborn, diary = Stubborn(), Diary()
    await queue.add(job_of())
    worker = queue.worker(stubborn.handle, grace=timedelta(seconds=0.1 if times == 1 else 60))
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(PATIENCE):
        await stubborn.started.wait()
        for _ in range(times):
            running.cancel()
            await asyncio.sleep(0.01)
        await asyncio.wait([running])
    assert "worker.handlers_late queue=valuation handlers=handle (1)" in caplog.text
    assert f"worker.handler_abandoned handler=handle job=event-1 where={consuming.__file__}:" in caplog.text
    assert worker.stats.abandoned == 1
    assert not await redis.exists(f"{queue.jobs.key}:event-1:lock")
    async with working(queue.engine(diary)):
        await queue.ended("completed")
        stubborn.give_in.set()
        await until(lambda: "worker.handler_ended_late" in caplog.text)
    assert diary.ids == ["event-1"]


async def test_place_of_a_handler_that_does_not_end_is_free_again(
    queue: Valuation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that ignores its time limit keeps neither its place in the worker nor its job."""
    monkeypatch.setattr(abandoned, "CANCELLATION_LIMIT", 0.2)
    stubborn = Stubborn()
    consumer = EventConsumer("valuation", time_limit=timedelta(seconds=0.05))
    consumer.on(OptimizationEvaluated)(stubborn.handle)
    await queue.add(job_of(), job_of(job_id="event-2"))
    worker = EventWorker.from_url(queue.url, consumer, bull_prefix=queue.prefix, concurrency=1)
    async with running_program(worker):
        await queue.ended("failed", 2)
        assert worker.stats.abandoned == 4
        assert worker.stats.running == 0
    stubborn.give_in.set()


def test_jobs_are_handed_back_when_asyncio_cancels_everything(redis_url: str, stream_prefix: str) -> None:
    """When the main function ends without a stop, `asyncio.run` cancels every task, and the jobs are handed back."""

    async def main() -> None:
        async with Redis.from_url(redis_url) as redis:
            queue = Valuation(redis_url, stream_prefix, BullJobs(redis, stream_prefix, "valuation"))
            hanging = Hanging()
            await queue.add(job_of())
            lifecycle = Lifecycle("EventWorker")
            background.add(asyncio.create_task(lifecycle.run(partial(queue.engine(hanging).run, lifecycle))))
            await hanging.started.wait()

    background: set[asyncio.Task[None]] = set()
    asyncio.run(main())
    with BlockingRedis.from_url(redis_url) as redis:
        assert redis.lrange(f"{stream_prefix}:valuation:wait", 0, -1) == [b"event-1"]


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
