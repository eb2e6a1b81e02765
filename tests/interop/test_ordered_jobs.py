"""What people do to jobs that are handled in order, by the API of BullMQ in Node.js, of both releases in use."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from interop.node_process import NodeProgram, node
from redis.asyncio import Redis
from support.hand_over import HandOver
from support.ordered_queue import QUEUE
from support.stepped_queue import SteppedQueue


@pytest.fixture
async def queue(redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[SteppedQueue]:
    """A queue where a job that has failed for good holds its key."""
    scene = HandOver(redis, redis_url, stream_prefix)
    async with scene.owned, SteppedQueue(scene) as queue:
        yield queue


@pytest.fixture(params=["bullmq", "bullmq5"])
async def operator(request: pytest.FixtureRequest, queue: SteppedQueue) -> AsyncIterator[NodeProgram]:
    """Somebody who calls methods of BullMQ's `Queue` and `Job`."""
    place: dict[str, Any] = {"url": queue.url, "prefix": queue.bull_prefix, "queue": QUEUE}
    async with node("queue.mjs", **place, library=request.param) as program:
        yield program


async def first_failed(queue: SteppedQueue, *names: str) -> None:
    """Add jobs, the first of which has failed for good, then one of another key, which runs."""
    await queue.add(*names)
    assert await queue.started() == [names[0]]
    await queue.fail(names[0])
    await queue.add("z1")
    assert await queue.started() == ["z1"]


async def test_retry(queue: SteppedQueue, operator: NodeProgram) -> None:
    """`job.retry()` of the job that holds a key lets all of them run in order."""
    await first_failed(queue, "a1", "a2", "a3")
    await operator.answer("callJob", "event-a1", "retry")
    assert await queue.work_off() == ["a1", "a2", "a3"]


async def test_retry_jobs(queue: SteppedQueue, operator: NodeProgram) -> None:
    """So does `queue.retryJobs()`."""
    await first_failed(queue, "a1", "a2", "a3")
    await operator.answer("call", "retryJobs", {"state": "failed"})
    assert await queue.work_off() == ["a1", "a2", "a3"]


async def test_remove_the_failed_one(queue: SteppedQueue, operator: NodeProgram) -> None:
    """`job.remove()` of the job that holds a key lets the others run in order, at the next look."""
    await first_failed(queue, "a1", "a2", "a3")
    await operator.answer("callJob", "event-a1", "remove")
    assert await queue.start() is None
    await queue.tend()
    assert await queue.work_off() == ["a2", "a3"]


@pytest.mark.parametrize("options", [{}, {"removeChildren": False}])
async def test_remove_one_that_waits(queue: SteppedQueue, operator: NodeProgram, options: dict[str, bool]) -> None:
    """`job.remove()` of a job that waits removes that job alone, and nobody overtakes."""
    await first_failed(queue, "a1", "a2", "a3")
    await operator.answer("callJob", "event-a2", "remove", options)
    await queue.tend()
    assert await queue.start() is None
    await queue.retry("a1")
    assert await queue.work_off() == ["a1", "a3"]


async def test_remove_one_that_is_completed(queue: SteppedQueue, operator: NodeProgram) -> None:
    """`job.remove()` of a completed job removes that job alone."""
    await queue.add("a1", "a2", "a3")
    assert await queue.start() == "a1"
    await queue.complete("a1")
    assert await queue.start() == "a2"
    await operator.answer("callJob", "event-a1", "remove")
    await queue.tend()
    assert await queue.where() == {"active": ["a2"], "waiting-children": ["a3"]}
    await queue.complete("a2")
    assert await queue.work_off() == ["a3"]


async def test_let_the_next_pass(queue: SteppedQueue, operator: NodeProgram) -> None:
    """`job.removeChildDependency()` of the job that holds a key lets the others run; it can still be retried."""
    await first_failed(queue, "a1", "a2", "a3")
    await operator.answer("callJob", "event-a1", "removeChildDependency")
    await queue.tend()
    assert await queue.start() == "a2"
    await queue.add("a4")
    await queue.retry("a1")
    assert await queue.start() == "a1"
    await queue.complete("a1", "a2")
    assert await queue.work_off() == ["a3", "a4"]


async def test_retry_one_that_was_passed_before_the_look(queue: SteppedQueue, operator: NodeProgram) -> None:
    """A job that is retried before the next one has passed it goes first after all."""
    await first_failed(queue, "a1", "a2", "a3")
    await operator.answer("callJob", "event-a1", "removeChildDependency")
    await operator.answer("callJob", "event-a1", "retry")
    await queue.tend()
    assert await queue.start() == "a1"
    assert await queue.start() is None
    await queue.complete("a1")
    assert await queue.work_off() == ["a2", "a3"]


async def test_clean_failed(queue: SteppedQueue, operator: NodeProgram) -> None:
    """`queue.clean("failed")` removes failed jobs alone, and what they held runs in order."""
    await first_failed(queue, "a1", "a2", "a3")
    await operator.answer("call", "clean", 0, 0, "failed")
    await queue.tend()
    assert await queue.work_off() == ["a2", "a3"]


@pytest.mark.parametrize("state", ["completed", "wait", "delayed", "prioritized"])
async def test_clean_others(queue: SteppedQueue, operator: NodeProgram, state: str) -> None:
    """Cleaning another state removes no job that waits behind one that holds its key."""
    await first_failed(queue, "a1", "a2", "a3")
    await operator.answer("call", "clean", 0, 0, state)
    await queue.tend()
    assert await queue.where() == {"active": ["z1"], "failed": ["a1"], "waiting-children": ["a2", "a3"]}


async def test_remove_unprocessed_children(queue: SteppedQueue, operator: NodeProgram) -> None:
    """`job.removeUnprocessedChildren()`, a button of Bull Board, does nothing to a job that waits."""
    await first_failed(queue, "a1", "a2", "a3")
    await operator.answer("callJob", "event-a2", "removeUnprocessedChildren")
    await queue.tend()
    assert await queue.where() == {"active": ["z1"], "failed": ["a1"], "waiting-children": ["a2", "a3"]}


async def test_retry_completed(queue: SteppedQueue, operator: NodeProgram) -> None:
    """A completed job that is retried runs beside the others, and nothing else happens."""
    await queue.add("a1", "a2", "a3")
    assert await queue.start() == "a1"
    await queue.complete("a1")
    assert await queue.start() == "a2"
    await operator.answer("callJob", "event-a1", "retry", "completed")
    assert await queue.start() == "a1"
    await queue.complete("a2", "a1")
    await queue.tend()
    assert await queue.work_off() == ["a3"]


async def test_drain(queue: SteppedQueue, operator: NodeProgram) -> None:
    """`queue.drain()` removes the jobs whose turn it is; those behind them come forward at the next look."""
    await queue.add("a1", "a2", "a3", "b1", "b2")
    assert await queue.start() == "a1"
    await operator.answer("call", "drain")
    await queue.tend()
    assert await queue.where() == {"active": ["a1"], "wait": ["b2"], "waiting-children": ["a2", "a3"]}
    await queue.complete("a1")
    assert sorted(await queue.work_off()) == ["a2", "a3", "b2"]


async def test_obliterate(queue: SteppedQueue, operator: NodeProgram) -> None:
    """`queue.obliterate()` removes the jobs whose turn it is; those behind them come forward, in order."""
    await queue.add("a1", "a2", "a3", "b1")
    await operator.answer("call", "obliterate", {"force": True})
    await queue.tend()
    assert await queue.work_off() == ["a2", "a3"]


async def test_thousands_of_jobs_of_one_key(queue: SteppedQueue, operator: NodeProgram) -> None:
    """However many jobs wait for one, `remove`, `clean`, `drain` and `obliterate` remove only what they say."""
    jobs = 3_000
    await queue.add(*(f"a{number:04}" for number in range(jobs)))
    await operator.answer("callJob", f"event-a{jobs - 1}", "remove")
    for method, details in (("clean", [0, 0, "wait"]), ("drain", []), ("obliterate", [{"force": True}])):
        await operator.answer("call", method, *details)
        await queue.tend()
    assert await queue.where() == {
        "wait": ["a0003"],
        "waiting-children": [f"a{number:04}" for number in range(4, jobs - 1)],
    }


async def test_pause(queue: SteppedQueue, operator: NodeProgram) -> None:
    """A job whose turn comes while the queue is paused starts when that is over."""
    await queue.add("a1", "a2")
    assert await queue.start() == "a1"
    await operator.answer("call", "pause")
    await queue.complete("a1")
    assert await queue.start() is None
    await operator.answer("call", "resume")
    assert await queue.work_off() == ["a2"]


async def test_remove_orphaned_jobs(queue: SteppedQueue, operator: NodeProgram) -> None:
    """`queue.removeOrphanedJobs()` leaves the keys alone that keep the order."""
    await first_failed(queue, "a1", "a2", "a3")
    before = await queue.keys()
    await operator.answer("call", "removeOrphanedJobs")
    assert await queue.keys() == before
    await queue.retry("a1")
    assert await queue.work_off() == ["a1", "a2", "a3"]
