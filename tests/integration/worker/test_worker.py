"""The worker on BullMQ's queues of a real server."""

import asyncio
import logging
import re
from datetime import timedelta
from itertools import pairwise

import pytest
from redis.asyncio import Redis
from support.consuming import OptimizationEvaluated, running, until
from support.working import Valuation, job_of

from domainstream.health import Health
from domainstream.queue import BullMQQueue
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.testing import EmbeddedServer
from domainstream.worker import EventConsumer, EventContext, EventWorker, GiveUp, RetryLater

DAMAGED = {"opts": b'{"backoff":"\xff"}', "stacktrace": b'["\xff"]'}
"""What another program may have written to the fields of a job."""


async def nothing(event: OptimizationEvaluated, context: EventContext) -> None:
    """Handle an event by doing nothing."""


async def test_returning_completes_the_job(queue: Valuation) -> None:
    """A handler that returns has done its job, which is kept as completed."""
    await queue.add(job_of())
    async with running(queue.worker(nothing)):
        assert await queue.ended("completed") == ["event-1"]
    assert (await queue.jobs.fields("event-1"))["returnvalue"] == b"null"


async def test_retry_later_comes_back_in_the_same_attempt(queue: Valuation) -> None:
    """`RetryLater` retries the job after the delay, not before, and the attempt does not count."""
    calls: list[tuple[float, int]] = []

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        calls.append((asyncio.get_running_loop().time(), context.attempt))
        if len(calls) < 4:
            raise RetryLater(delay=0.2)

    await queue.add(job_of())
    async with running(queue.worker(handle)):
        await queue.ended("completed")
    waits = [later[0] - earlier[0] for earlier, later in pairwise(calls)]
    assert [attempt for _, attempt in calls] == [1, 1, 1, 1]
    assert all(0.19 < wait < 0.6 for wait in waits)


async def test_give_up_fails_at_once(queue: Valuation, caplog: pytest.LogCaptureFixture) -> None:
    """The job is not tried again, its reason is what the handler said, and the log names job, handler and event."""
    calls = []

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        calls.append(context.attempt)
        raise GiveUp("no such stay")

    await queue.add(job_of())
    async with running(queue.worker(handle)):
        await queue.ended("failed")
    assert (await queue.jobs.fields("event-1"))["failedReason"] == b"no such stay"
    assert calls == [1]
    said = "worker.job_failed queue=valuation job=event-1 name=price-stay event=OptimizationEvaluated attempt=1 "
    assert said in caplog.text
    assert "no such stay" not in caplog.text


async def test_other_exceptions_use_up_the_attempts(queue: Valuation, caplog: pytest.LogCaptureFixture) -> None:
    """A job fails with its last error once its attempts are used up, and logs do not quote that error."""
    attempts = []

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        attempts.append(context.attempt)
        raise ValueError("a secret of the payload")

    await queue.add(job_of())
    with caplog.at_level(logging.DEBUG, "domainstream"):
        async with running(queue.worker(handle)):
            await queue.ended("failed")
    assert (await queue.jobs.fields("event-1"))["failedReason"] == b"ValueError: a secret of the payload"
    assert attempts == [1, 2]
    assert "secret" not in caplog.text
    job = r"worker\.attempt_failed queue=valuation job=event-1 name=price-stay"
    place = rf"error=ValueError where={re.escape(__file__)}:\d+ in handle event=OptimizationEvaluated"
    assert re.search(rf"{job} attempt=1 attempts=2 {place} next=retried in 0\.02 s\n", caplog.text)
    assert re.search(r"worker\.job_failed .* attempt=2 error=ValueError where=.* in handle reason=stored", caplog.text)


async def test_cancellation_inside_a_handler_is_a_failure_like_any_other(queue: Valuation) -> None:
    """A CancelledError out of a handler fails its job and leaves the worker running."""

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        if context.job_id == "event-1":
            raise asyncio.CancelledError

    await queue.add(job_of(), job_of(job_id="event-2"))
    async with running(queue.worker(handle)):
        assert await queue.ended("failed") == ["event-1"]
        assert await queue.ended("completed") == ["event-2"]


@pytest.mark.parametrize(
    "data",
    [b"rubbish", b"{}", b'{"a":' * 5_000, b"\xff", b'"x"'],
    ids=["no JSON", "no event", "nested too deep", "no UTF-8", "no object"],
)
async def test_data_that_is_not_an_event_fails_at_once(queue: Valuation, data: bytes) -> None:
    """Job data that cannot be decoded fails its job at once instead of being retried forever."""
    await queue.add(job_of(data=data), job_of(job_id="event-2"))
    async with running(queue.worker(nothing)):
        assert await queue.ended("failed") == ["event-1"]
        assert await queue.ended("completed") == ["event-2"]


@pytest.mark.parametrize("field", DAMAGED)
async def test_fields_that_are_not_utf8_cost_no_worker_its_life(queue: Valuation, field: str) -> None:
    """A job that another program damaged fails on its own, can be inspected, and the job beside it is handled."""
    await queue.add(job_of(data=b"rubbish"), job_of(job_id="event-2"))
    await queue.jobs.redis.hset(f"{queue.jobs.key}:event-1", field, DAMAGED[field])
    inspection = BullMQInspection(queue.jobs.redis, bull_prefix=queue.prefix)
    assert {job.job_id async for job in inspection.jobs("valuation")} == {"event-1", "event-2"}
    async with running(queue.worker(nothing)):
        assert await queue.ended("failed") == ["event-1"]
        assert await queue.ended("completed") == ["event-2"]


async def test_handlers_run_side_by_side_up_to_the_concurrency(queue: Valuation) -> None:
    """As many handlers run at once as the concurrency allows, and no more."""
    started: list[str] = []
    going_on = asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        started.append(context.job_id)
        await going_on.wait()

    await queue.add(*(job_of(job_id=f"event-{number}") for number in range(5)))
    async with running(queue.worker(handle, concurrency=3)):
        await until(lambda: len(started) == 3)
        assert len(await queue.jobs.ids("active")) == 3
        going_on.set()
        await queue.ended("completed", 5)


async def test_close_lets_running_handlers_finish(queue: Valuation) -> None:
    """A worker that is closed takes no more jobs and waits for those it has."""
    started, going_on = asyncio.Event(), asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        started.set()
        await going_on.wait()

    await queue.add(job_of(), job_of(job_id="event-2"))
    worker = queue.worker(handle, concurrency=1)
    async with running(worker):
        await started.wait()
        worker.stop()
        going_on.set()
    assert await queue.jobs.ids("completed") == ["event-1"]
    assert await queue.jobs.ids() == ["event-2"]


async def test_close_cancels_handlers_that_take_too_long(queue: Valuation) -> None:
    """After the grace a handler is cancelled, and its job goes back to the queue as if it had not been taken."""
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await queue.add(job_of())
    async with running(queue.worker(handle, grace=timedelta(milliseconds=50))):
        await started.wait()
    assert cancelled.is_set()
    assert await queue.jobs.ids("active") == []
    assert await queue.jobs.ids() == ["event-1"]
    assert "atm" not in await queue.jobs.fields("event-1")


async def test_stop_while_idle_returns_at_once(queue: Valuation) -> None:
    """A worker that waits for jobs ends as soon as it is stopped."""
    async with queue.worker(nothing) as worker:
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(0.1)
        worker.stop()
        async with asyncio.timeout(1):
            await task


async def test_job_is_picked_up_while_idle(queue: Valuation) -> None:
    """A job that arrives while the worker waits is handled at once."""
    async with running(queue.worker(nothing)):
        await asyncio.sleep(0.1)
        await queue.add(job_of())
        async with asyncio.timeout(1):
            await queue.ended("completed")


async def test_cancelled_run_finishes_its_handlers(queue: Valuation) -> None:
    """Ctrl-C, which cancels, ends as gracefully as `stop`."""
    started, going_on = asyncio.Event(), asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        started.set()
        await going_on.wait()

    await queue.add(job_of())
    task = asyncio.create_task(queue.worker(handle).run())
    await started.wait()
    task.cancel()
    going_on.set()
    await asyncio.wait([task])
    assert task.cancelled() is True
    assert await queue.jobs.ids("completed") == ["event-1"]


async def test_cancellation_ends_the_worker_at_whatever_moment(queue: Valuation) -> None:
    """A cancellation ends the worker at whatever moment it comes, although the client library may swallow it."""
    for ticks in range(60):
        task = asyncio.create_task(queue.worker(nothing).run())
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(1):
            await asyncio.wait([task])
        assert task.cancelled()


async def test_worker_is_named_on_the_server(queue: Valuation, redis: Redis) -> None:
    """BullMQ's tools find the worker by the name of its connections."""

    async def named() -> bool:
        return any(client["name"] == f"{queue.prefix}:dmFsdWF0aW9u" for client in await redis.client_list())

    async with running(queue.worker(nothing)):
        assert await until(named)


async def test_worker_survives_a_restart_of_the_server() -> None:
    """A worker that starts before its server, or whose server restarts, handles jobs as soon as it is up."""
    handled = []

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.append(context.job_id)

    with EmbeddedServer() as server:
        url, binary = server.url, server.binary
    consumer = EventConsumer("valuation")
    consumer.on(OptimizationEvaluated)(handle)
    async with running(EventWorker.from_url(url, consumer)):
        for number in range(2):
            with EmbeddedServer(binary, port=int(url.rpartition(":")[2])):
                queue = BullMQQueue.from_url(url)
                await queue.add([job_of(job_id=f"event-{number}")])
                await queue.close()
                await until(lambda: len(handled) > number)  # noqa: B023 - awaited within the turn
    assert handled == ["event-0", "event-1"]


async def test_health_follows_the_life_of_the_worker(queue: Valuation) -> None:
    """A worker is healthy while it takes jobs: not before `run`, and no more once it is stopping."""
    started, going_on = asyncio.Event(), asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        started.set()
        await going_on.wait()

    await queue.add(job_of())
    worker = queue.worker(handle)
    assert await worker.health() == Health(ok=False, problem="the worker does not run")
    async with running(worker):
        await started.wait()
        assert await worker.health() == Health(ok=True)
        assert worker.stats.running == 1
        worker.stop()
        assert await worker.health() == Health(ok=False, problem="the worker is stopping")
        going_on.set()
    assert (await worker.health()).problem == "the worker does not run"
