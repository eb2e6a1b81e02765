"""Jobs of BullMQ's job schedulers in a queue of events."""

import asyncio
import logging
from typing import Any

import pytest
from redis.asyncio import Redis
from support.working import Diary, Valuation, working

from domainstream.queue.bullmq.scripts import bullmq_module
from domainstream.worker.bullmq.runner import add_next_job


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


async def test_worker_that_stops_still_adds_the_next_job(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop between the end of a handler and the addition of the next job does not end the scheduler."""
    started, going_on = asyncio.Event(), asyncio.Event()
    diary = Diary()

    async def slowly(*given: Any) -> None:
        started.set()
        await going_on.wait()
        await add_next_job(*given)

    monkeypatch.setattr("domainstream.worker.bullmq.engine.add_next_job", slowly)
    await schedule(queue)
    async with working(queue.engine(diary)) as stopping:
        await started.wait()
        await queue.ended("completed")
        stopping.set()
        await asyncio.sleep(0.1)  # for what the stop might cut short
        going_on.set()
    assert len(diary.ids) == 1
    assert len(await queue.jobs.ids("delayed")) == 1


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
