"""What handlers meet in a real worker: everything between a job in BullMQ and its outcome there."""

import asyncio
import json
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs, OptimizationEvaluated, calculated, evaluated, running
from support.working import Valuation, job_of

from domainstream.event import BaseEvent
from domainstream.queue import JobSettings
from domainstream.worker import ErrorHandler, EventConsumer, EventContext, EventWorker, GiveUp, RedisInbox

CONCURRENCY = 50


@pytest.fixture
def queue(redis_url: str, redis: Redis, stream_prefix: str) -> Valuation:
    """The queue `valuation` of this test."""
    prefix = f"{stream_prefix}bull"
    return Valuation(redis_url, prefix, BullJobs(redis, prefix, "valuation"))


def worker_of(queue: Valuation, handler: Callable[..., Any] | None = None, **settings: Any) -> EventWorker:
    """Return a worker whose consumer has these settings."""
    consumer = EventConsumer("valuation", **settings)
    if handler is not None:
        consumer.on(OptimizationEvaluated)(handler)
    return EventWorker.from_url(queue.url, consumer, bull_prefix=queue.prefix, concurrency=CONCURRENCY)


async def test_failed_job_keeps_all_causes(queue: Valuation) -> None:
    """A failed job has the last error's message, and a traceback with all causes for each attempt."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        raise ValueError(f"no price in attempt {context.attempt}") from OSError("disk")

    await queue.add(job_of())
    async with running(worker_of(queue, price_stay)):
        await queue.ended("failed")
    fields = await queue.jobs.fields("event-1")
    assert fields["failedReason"] == b"ValueError: no price in attempt 2"
    stacks = json.loads(fields["stacktrace"])
    assert len(stacks) == 2
    assert all(re.search(rf"(?s)OSError: disk.*no price in attempt {number}", stacks[number - 1]) for number in (1, 2))


async def test_error_handler_decides(queue: Valuation) -> None:
    """A rule of the error handler fails a job at once that would otherwise be retried."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        raise PermissionError

    await queue.add(job_of())
    async with running(worker_of(queue, price_stay, errors=ErrorHandler({OSError: GiveUp("we may not")}))):
        await queue.ended("failed")
    fields = await queue.jobs.fields("event-1")
    assert fields["failedReason"] == b"we may not"
    assert fields["atm"] == b"1"


async def test_job_without_a_handler_may_be_skipped(queue: Valuation) -> None:
    """A consumer of a shared queue may complete jobs without a handler."""
    await queue.add(job_of())
    async with running(worker_of(queue, unhandled="skip")):
        assert await queue.ended("completed") == ["event-1"]


async def test_plain_functions_fill_the_concurrency(queue: Valuation) -> None:
    """As many plain functions run at once as the concurrency allows; none waits for a thread."""
    met = threading.Barrier(CONCURRENCY, timeout=10)

    def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        met.wait()

    await queue.add(*(job_of(job_id=f"event-{number}") for number in range(CONCURRENCY)))
    async with running(worker_of(queue, price_stay)):
        await queue.ended("completed", CONCURRENCY)


async def test_handler_that_hangs_does_not_hang_the_worker(queue: Valuation) -> None:
    """A handler in a thread fails its attempt at its time limit, and other jobs are handled meanwhile."""
    going_on = threading.Event()

    def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        if context.job_id == "event-1":
            going_on.wait()

    await queue.add(job_of(settings=JobSettings(attempts=1)), job_of(job_id="event-2"))
    async with running(worker_of(queue, price_stay, time_limit=timedelta(milliseconds=500))):
        assert await queue.ended("completed") == ["event-2"]
        await queue.ended("failed")
    going_on.set()
    reason = (await queue.jobs.fields("event-1"))["failedReason"]
    assert reason == b"HandlerTimeoutError: price_stay took longer than its time limit of 0.5 s"


async def test_progress_is_stored_with_the_job(queue: Valuation) -> None:
    """Progress that a handler reports is stored with the job."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        await context.report_progress({"step": 1})
        await context.report_progress(50)

    await queue.add(job_of())
    async with running(worker_of(queue, price_stay)):
        await queue.ended("completed")
    assert (await queue.jobs.fields("event-1"))["progress"] == b"50"


async def test_causes_of_jobs_side_by_side_are_not_mixed_up(queue: Valuation) -> None:
    """Events made by concurrent handlers have the event of their own handler as their cause."""
    met, made = asyncio.Barrier(10), list[BaseEvent[Any]]()

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        await met.wait()
        made.append(calculated())

    causes = [evaluated(id=f"cause-{number}") for number in range(10)]
    await queue.add(*(job_of(cause, job_id=f"event-{cause.id}") for cause in causes))
    async with running(worker_of(queue, price_stay)):
        await queue.ended("completed", 10)
    assert {event.causation_id for event in made} == {cause.id for cause in causes}
    assert all(event.correlation_id == event.causation_id for event in made)


@pytest.mark.parametrize(("protected", "balance"), [(False, 2), (True, 1)], ids=["control", "inbox"])
async def test_effect_of_a_job_that_is_handed_back_happens_once(
    queue: Valuation, redis: Redis, stream_prefix: str, *, protected: bool, balance: int
) -> None:
    """With an inbox an effect happens once, although the job is handed back after it and handled again."""
    key, paid, runs = f"{stream_prefix}balance", asyncio.Event(), list[str]()
    inbox = RedisInbox(redis, "valuation.pay", prefix=stream_prefix)

    async def pay(event: OptimizationEvaluated, context: EventContext) -> None:
        runs.append(context.job_id)
        if protected:
            await inbox.once(event, lambda commands: commands.incr(key))
        else:
            await redis.incr(key)
        paid.set()
        if len(runs) == 1:
            await asyncio.Event().wait()

    await queue.add(job_of())
    consumer = EventConsumer("valuation")
    consumer.on(OptimizationEvaluated)(pay)
    impatient = timedelta(milliseconds=20)
    async with running(EventWorker.from_url(queue.url, consumer, bull_prefix=queue.prefix, grace=impatient)):
        await paid.wait()
    async with running(worker_of(queue, pay)):
        await queue.ended("completed")
    assert len(runs) == 2
    assert int(await redis.get(key) or 0) == balance
