"""What people do with single jobs, by commands or by BullMQ's own means, leaves those behind them in order."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from redis.asyncio import Redis
from support.consuming import until
from support.ordered_queue import QUEUE
from support.worked_queue import LATER, Failing, WorkedQueue
from support.working import working

from domainstream.queue.bullmq.repair import BullMQRepair
from domainstream.worker.context import ReceivedJob
from domainstream.worker.outcomes import AttemptResult, Failed

Change = Callable[[WorkedQueue, BullMQRepair], Awaitable[object]]


@pytest.fixture
def queue(redis_url: str, redis: Redis, stream_prefix: str) -> WorkedQueue:
    """The queue of this test, in which a failed job holds its key."""
    return WorkedQueue(redis_url, redis, f"{stream_prefix}bull")


@pytest.fixture
def repair(redis: Redis, queue: WorkedQueue) -> BullMQRepair:
    """Repairs the queues of this test, as `jobs retry` and `jobs rm` do."""
    return BullMQRepair(redis, bull_prefix=queue.bull_prefix)


async def again_in_an_hour(_: ReceivedJob) -> AttemptResult:
    """Fail, to be tried again."""
    return Failed("ValueError: broken", "", again_in=timedelta(hours=1))


@pytest.mark.parametrize(
    ("change", "handled"),
    [
        (lambda _, repair: repair.retry(QUEUE, ["a1"]), ["a1", "a2", "a3", "a4"]),
        (lambda _, repair: repair.remove_failed(QUEUE, ["a1"]), ["a2", "a3", "a4"]),
        (lambda queue, _: queue.remove("a1"), ["a2", "a3", "a4"]),
        (lambda queue, _: queue.clean("failed"), ["a2", "a3", "a4"]),
    ],
    ids=["retry", "rm", "remove", "clean"],
)
async def test_rest_of_a_held_key_is_handled_in_order(
    queue: WorkedQueue, repair: BullMQRepair, change: Change, handled: list[str]
) -> None:
    """The failed job is retried or removed: those behind it follow, and none is lost."""
    await queue.hold("stay-1", "a1", "a2", "a3", "a4")
    await change(queue, repair)
    await queue.tend()
    assert await queue.handle(until_done=lambda ids: ids[-1:] == ["a4"]) == handled


async def test_job_that_waits_is_removed_alone(queue: WorkedQueue, repair: BullMQRepair) -> None:
    """One in the middle is removed: the next waits for the one before it, and neither overtakes."""
    await queue.hold("stay-1", "a1", "a2", "a3", "a4")
    await queue.remove("a3")
    await queue.tend()
    assert await queue.ids("waiting-children") == ["a2", "a4"]
    await repair.retry(QUEUE, ["a1"])
    assert await queue.handle(until_done=lambda ids: ids[-1:] == ["a4"]) == ["a1", "a2", "a4"]


async def test_jobs_that_wait_are_neither_failed_nor_delayed(queue: WorkedQueue, repair: BullMQRepair) -> None:
    """`jobs retry` and `jobs rm` leave them alone, so nobody starts one before its turn."""
    await queue.hold("stay-1", "a1", "a2", "a3")
    for change in (repair.retry, repair.promote, repair.remove_failed, repair.remove_delayed):
        assert await change(QUEUE, ["a2"]) == 0
    assert await queue.ids("waiting-children") == ["a2", "a3"]


async def test_completed_job_is_removed_alone(queue: WorkedQueue) -> None:
    """What was handled can be removed while others of its key wait."""
    await queue.add("stay-1", "a1", "a2", "a3")
    async with working(queue.valuation.engine(Failing("a2"))):
        await until(lambda: queue.redis.zscore(queue.key("failed"), "a2"))
    await queue.remove("a1")
    await queue.tend()
    assert (await queue.ids("failed"), await queue.ids("waiting-children")) == (["a2"], ["a3"])
    await queue.add("stay-1", "a4")
    await queue.remove("a2")
    await queue.tend()
    assert await queue.handle(until_done=lambda ids: len(ids) == 2) == ["a3", "a4"]


@pytest.mark.parametrize("is_promoted", [True, False])
async def test_first_job_that_is_tried_again_later_is_promoted_or_removed(
    queue: WorkedQueue, repair: BullMQRepair, *, is_promoted: bool
) -> None:
    """A job that waits for its next attempt begins at once, or goes; those behind it follow."""
    await queue.add("stay-1", "a1", "a2", "a3", settings=LATER)
    async with working(queue.valuation.engine(again_in_an_hour)):
        await until(lambda: queue.redis.zscore(queue.key("delayed"), "a1"))
    assert await (repair.promote if is_promoted else repair.remove_delayed)(QUEUE, ["a1"]) == 1
    await queue.tend()
    handled = await queue.handle(until_done=lambda ids: ids[-1:] == ["a3"])
    assert handled == [*(["a1"] if is_promoted else []), "a2", "a3"]


async def test_failure_with_an_earlier_time_is_skipped_too(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """A worker whose clock is behind reports a failure after others were stepped over: what is behind it goes on."""
    queue = WorkedQueue(redis_url, redis, f"{stream_prefix}bull", on_failure="skip")
    await queue.hold("stay-1", "a1")
    await queue.tend()
    await queue.hold("stay-2", "b1", "b2")
    for name in ("failed", "order:keys"):
        await redis.zadd(queue.key(name), {"b1" if name == "failed" else "stay-2": 1})
    await queue.tend()
    await queue.tend()
    assert await queue.handle(until_done=lambda ids: ids) == ["b2"]


async def test_job_that_came_again_under_another_key_keeps_its_place(queue: WorkedQueue) -> None:
    """Looking after the key that it had before does not touch it: it still waits for the one before it."""
    await queue.add("stay-1", "a1")
    await queue.remove("a1")
    await queue.add("stay-2", "b1", "a1")
    await queue.redis.zadd(queue.key("order:keys"), {"stay-1": 1})
    await queue.tend()
    assert await queue.handle(until_done=lambda ids: len(ids) == 2) == ["b1", "a1"]
