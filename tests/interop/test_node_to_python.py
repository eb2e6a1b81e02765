"""Jobs that Node.js adds with Queue.add, and their options, as our worker handles them."""

import asyncio
import json
from itertools import pairwise

from interop.shared_queue import JOB, SharedQueue
from support.consuming import EVALUATED, OptimizationEvaluated, evaluated, message, running, until

from domainstream.worker import EventContext


async def test_job_that_node_adds_reaches_its_typed_handler(queue: SharedQueue) -> None:
    """The event arrives unchanged; its context has the number that Node gave the job, and no stream entry."""
    event = evaluated(correlation_id="stay-7")
    handled: asyncio.Future[tuple[OptimizationEvaluated, EventContext]] = asyncio.get_running_loop().create_future()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set_result((event, context))

    async with queue.node("queue.mjs") as node, running(queue.worker(handle)), asyncio.timeout(10):
        job_id = await node.answer("add", JOB, json.loads(message(event)))
        arrived, context = await handled
    assert arrived == event
    assert context.job_id == job_id
    assert context.job_name == JOB
    assert context.attempt == 1
    assert context.channel == EVALUATED.value
    assert context.entry_id == ""
    assert context.correlation_id == "stay-7"


async def test_our_worker_waits_for_the_delay_that_node_asks_for(queue: SharedQueue) -> None:
    """A job with a delay starts soon after the delay, and never before."""
    handled = asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set()

    async with queue.node("queue.mjs") as node, running(queue.worker(handle)), asyncio.timeout(10):
        job_id = await node.answer("add", JOB, json.loads(message(evaluated())), {"delay": 300})
        assert await node.answer("state", job_id) == "delayed"
        await handled.wait()
    fields = await queue.jobs.fields(job_id)
    assert 300 <= int(fields["processedOn"]) - int(fields["timestamp"]) < 3_000


async def test_our_worker_takes_the_most_urgent_job_of_node_first(queue: SharedQueue) -> None:
    """Jobs without priority start first, then those with the smallest number; equal numbers keep their order."""
    order: list[str] = []

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        order.append(event.aggregate_id)

    async with queue.node("queue.mjs") as node:
        for name, priority in {"a": 3, "b": 0, "c": 1, "d": 3, "e": 0}.items():
            data = json.loads(message(evaluated(aggregate_id=name)))
            await node.answer("add", JOB, data, {"priority": priority})
    async with running(queue.worker(handle, concurrency=1)):
        await until(lambda: len(order) == 5)
    assert order == ["b", "e", "c", "a", "d"]


async def test_our_worker_tries_as_often_as_node_asks_for(queue: SharedQueue) -> None:
    """The number of attempts and the fixed backoff are those of the job that Node added."""
    attempts: list[tuple[int, float]] = []

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        attempts.append((context.attempt, asyncio.get_running_loop().time()))
        raise ValueError("no price list")

    options = {"attempts": 3, "backoff": {"type": "fixed", "delay": 100}}
    async with queue.node("queue.mjs") as node, running(queue.worker(handle)):
        job_id = await node.answer("add", JOB, json.loads(message(evaluated())), options)
        await until(lambda: queue.jobs.ids("failed"))
        job = await node.answer("job", job_id)
    assert [attempt for attempt, _ in attempts] == [1, 2, 3]
    assert all(0.09 < after[1] - before[1] < 2 for before, after in pairwise(attempts))
    assert job["failedReason"] == "ValueError: no price list"
    assert job["attemptsMade"] == 3
    assert len(job["stacktrace"]) == 3
