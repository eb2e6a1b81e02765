"""Jobs of BullMQ's job schedulers in a queue of events."""

import asyncio
import logging
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import until
from support.working import Diary, Valuation, working

from domainstream.queue.bullmq.scripts import bullmq_module
from domainstream.redis.errors import ErrorKind
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.worker.bullmq.runner import add_next_job

ADDITION = b"prevMillis"
"""Only the addition of a next job has this in its arguments."""


async def schedule(queue: Valuation) -> None:
    """Let a scheduler of the package add a job every 100 ms."""
    async with Redis.from_url(queue.url, decode_responses=True) as client:
        other: Any = bullmq_module().Queue("valuation", {"connection": client, "prefix": queue.prefix})
        await other.upsertJobScheduler("every", {"every": 100}, "tick", {"a": 1})


async def test_each_job_of_a_scheduler_is_followed_by_the_next(queue: Valuation) -> None:
    """The worker adds the next job of a scheduler when it starts one."""
    diary = Diary()
    await schedule(queue)
    async with working(queue.engine(diary)):
        await diary.handled(3)
    assert all(job_id.startswith("repeat:every:") for job_id in diary.ids)


class GatedAddition:
    """Adds the next job of a scheduler as the worker does, but not before it is let on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started, self.going_on = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr("domainstream.worker.bullmq.engine.add_next_job", self._add)

    async def _add(self, *given: Any) -> None:
        self.started.set()
        await self.going_on.wait()
        await add_next_job(*given)


async def test_job_ends_after_the_next_was_added(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose handler has returned stays locked until the next one of its scheduler exists, also at a stop."""
    diary, addition = Diary(), GatedAddition(monkeypatch)
    await schedule(queue)
    async with working(queue.engine(diary)) as stopping:
        await addition.started.wait()
        await diary.handled(1)
        stopping.set()
        assert len(await queue.jobs.ids("active")) == 1
        addition.going_on.set()
    assert len(diary.ids) == 1
    assert len(await queue.jobs.ids("completed")) == 1
    assert len(await queue.jobs.ids("delayed")) == 1


async def test_job_without_a_next_one_is_handed_back(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends before it could add the next job leaves the job to another one, which adds it."""
    diary = Diary()
    await schedule(queue)
    with monkeypatch.context() as patch:
        addition = GatedAddition(patch)
        async with working(queue.engine(diary, grace=0.01)):
            await addition.started.wait()
    assert len(await queue.jobs.ids("wait")) == 1
    async with working(queue.engine(diary)):
        await diary.handled(4)


async def test_next_job_is_added_once_when_replies_are_lost(queue: Valuation) -> None:
    """A scheduler goes on when the replies to additions are lost, and no job follows twice."""
    diary = Diary()
    await schedule(queue)
    async with FaultProxy(queue.url) as proxy, working(queue.engine(diary, url=proxy.url)):
        await diary.handled(1)
        proxy.lose_replies_to(ADDITION, 3)
        await diary.handled(3)
        await until(lambda: proxy.faults == 3)
    assert len(set(diary.ids)) == len(diary.ids)
    assert len(await queue.jobs.ids("delayed")) == 1


async def test_control_addition_that_is_not_repeated(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: if the addition were made once only, the scheduler would stop when the server cannot answer."""
    monkeypatch.setattr("domainstream.worker.bullmq.runner.kind_of", lambda _: ErrorKind.FINAL)
    await schedule(queue)
    async with FaultProxy(queue.url) as proxy:
        proxy.answer(ADDITION, b"-LOADING Valkey is loading the dataset in memory")
        async with working(queue.engine(Diary(), url=proxy.url)):
            await queue.ended("completed")
    assert await queue.jobs.ids("delayed") == []


async def test_next_job_that_cannot_be_added(queue: Valuation, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """A job of a damaged scheduler is handled, and the log names the scheduler that stops."""
    diary = Diary()
    await schedule(queue)
    await redis.delete(f"{queue.jobs.key}:repeat:every")
    await redis.set(f"{queue.jobs.key}:repeat:every", "no hash")
    with caplog.at_level(logging.ERROR):
        async with working(queue.engine(diary)):
            await diary.handled(1)
    assert "worker.schedule_failed queue=valuation job=repeat:every:" in caplog.text
    assert "scheduler=every" in caplog.text
