"""Jobs that are handled in order: what a person sees of those that are held up, and how they go on."""

from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import until
from support.ordered_queue import QUEUE
from support.worked_queue import LATER, Failing, WorkedQueue
from support.working import job_of, working

from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.bullmq.order import PAGE, BullMQOrder, HeldKey, KeyState
from domainstream.queue.bullmq.repair import BullMQRepair
from domainstream.worker.context import ReceivedJob
from domainstream.worker.outcomes import AttemptResult


@pytest.fixture
def queue(redis_url: str, redis: Redis, stream_prefix: str) -> WorkedQueue:
    """The queue of this test, in which a failed job holds its key."""
    return WorkedQueue(redis_url, redis, f"{stream_prefix}bull")


@pytest.fixture
def order(redis: Redis, queue: WorkedQueue) -> BullMQOrder:
    """The order of the queues of this test."""
    return BullMQOrder(redis, bull_prefix=queue.bull_prefix)


async def held(order: BullMQOrder) -> list[HeldKey]:
    """Return the keys that are held."""
    return [key async for key in order.held(QUEUE)]


async def test_held_key_is_found_with_its_job_and_those_that_wait(queue: WorkedQueue, order: BullMQOrder) -> None:
    """A key whose first job has failed is listed with the job, the reason, the time, and how many wait."""
    await queue.hold("stay-1", "a1", "a2", "a3")
    await queue.add("stay-2", "b1", "b2")
    (key,) = await held(order)
    assert (key.key, key.job_id, key.name, key.reason, key.waiting) == (
        *("stay-1", "a1", "price-stay", "ValueError: broken", 2),
    )
    job = await BullMQInspection(queue.redis, bull_prefix=queue.bull_prefix).job(QUEUE, "a1")
    assert job is not None
    assert key.since_ms == job.ended_ms


async def test_key_is_held_although_nothing_waits_yet(queue: WorkedQueue, order: BullMQOrder) -> None:
    """A failed job without one behind it holds its key as well: the next one will wait."""
    await queue.hold("stay-1", "a1")
    assert [key.waiting for key in await held(order)] == [0]
    await queue.add("stay-1", "a2")
    assert [key.waiting for key in await held(order)] == [1]


async def test_failed_jobs_hold_nothing_where_they_are_skipped(
    redis_url: str, redis: Redis, stream_prefix: str
) -> None:
    """With the rule `skip` nothing is listed."""
    queue = WorkedQueue(redis_url, redis, f"{stream_prefix}bull", on_failure="skip")
    await queue.hold("stay-1", "a1", "a2")
    await queue.tend()
    assert await held(BullMQOrder(redis, bull_prefix=queue.bull_prefix)) == []


async def test_all_held_keys_are_found_beyond_a_page(queue: WorkedQueue, order: BullMQOrder) -> None:
    """Many failed jobs are read page by page; those without a key, and those that hold none, are left out."""
    ids = [f"a{number}" for number in range(PAGE + 20)]
    for job_id in ids[:5]:
        await queue.add(job_id, job_id)
    async with queue.redis.pipeline() as pipe:
        for number, job_id in enumerate(ids):
            fields: dict[Any, Any] = {"timestamp": 1, "finishedOn": number, "name": "price-stay"}
            pipe.hset(queue.key(job_id), mapping=fields if number % 2 else {**fields, "dskey": job_id})
            pipe.zadd(queue.key("failed"), {job_id: number})
            pipe.zrem(queue.key("prioritized"), job_id)
        await pipe.execute()
    assert [key.job_id for key in await held(order)] == ["a4", "a3", "a2", "a1", "a0"]


async def test_held_keys_are_looked_for_among_the_last_failed_jobs(queue: WorkedQueue, order: BullMQOrder) -> None:
    """Of a million failed jobs only as many are looked at as is asked for, and about a page more."""
    await queue.hold("stay-1", "a1", "a2")
    assert [key.key async for key in order.held(QUEUE, most=1)] == ["stay-1"]
    await queue.redis.zadd(queue.key("failed"), {f"later-{number}": 10**14 + number for number in range(PAGE)})
    assert [key async for key in order.held(QUEUE, most=1)] == []
    assert [key.key async for key in order.held(QUEUE)] == ["stay-1"]


async def test_rest_is_handled_in_order_after_a_retry(queue: WorkedQueue, order: BullMQOrder) -> None:
    """The failed job is handled first once it is retried, then those behind it."""
    await queue.hold("stay-1", "a1", "a2", "a3")
    assert await order.retry(QUEUE, ["stay-1"]) == 1
    assert await queue.handle(until_done=lambda ids: len(ids) == 3) == ["a1", "a2", "a3"]
    assert await held(order) == []


async def test_retry_of_a_key_that_nothing_holds_changes_nothing(queue: WorkedQueue, order: BullMQOrder) -> None:
    """Keys that do not exist, or whose first job waits for a worker, are left alone."""
    await queue.add("stay-1", "a1", "a2")
    assert await order.key(QUEUE, "stay-1") == KeyState(jobs=2, held=None)
    assert await order.key(QUEUE, "stay-9") == KeyState(jobs=0, held=None)
    assert await order.retry(QUEUE, ["stay-1", "stay-9"]) == 0
    assert await order.skip(QUEUE, ["stay-1", "stay-9"]) == 0
    assert await queue.ids("waiting-children") == ["a2"]


async def test_rest_passes_a_failed_job_that_is_skipped(queue: WorkedQueue, order: BullMQOrder) -> None:
    """Those behind it are handled in order, without a subscriber, and the failed job stays failed."""
    await queue.hold("stay-1", "a1", "a2", "a3")
    assert await order.skip(QUEUE, ["stay-1"]) == 1
    assert await held(order) == []
    assert await queue.handle("a1", until_done=lambda ids: len(ids) == 2) == ["a2", "a3"]
    assert await queue.ids("failed") == ["a1"]


async def test_jobs_to_come_pass_a_failed_job_that_is_skipped(queue: WorkedQueue, order: BullMQOrder) -> None:
    """A failed job that nobody waits for yet can be skipped, too."""
    await queue.hold("stay-1", "a1")
    assert await order.skip(QUEUE, ["stay-1"]) == 1
    await queue.add("stay-1", "a2", "a3")
    assert await queue.handle("a1", until_done=lambda ids: len(ids) == 2) == ["a2", "a3"]


async def test_skipped_job_that_fails_again_holds_nothing(queue: WorkedQueue, order: BullMQOrder) -> None:
    """It left the order when it was skipped, so a late retry of it stops nobody."""
    await queue.hold("stay-1", "a1")
    await order.skip(QUEUE, ["stay-1"])
    assert await BullMQRepair(queue.redis, bull_prefix=queue.bull_prefix).retry(QUEUE, ["a1"]) == 1
    async with working(queue.valuation.engine(Failing("a1"))):
        await until(lambda: queue.redis.zscore(queue.key("failed"), "a1"))
    assert await held(order) == []
    await queue.add("stay-1", "a2")
    assert await queue.handle(until_done=lambda ids: ids) == ["a2"]


async def test_dropped_key_leaves_nothing(queue: WorkedQueue, order: BullMQOrder) -> None:
    """The failed job and those behind it are removed, none is handled, and the key begins anew."""
    await queue.hold("stay-1", "a1", "a2", "a3")
    await queue.add("stay-2", "b1", "b2")
    assert await order.drop(QUEUE, ["stay-1"]) == 3
    await queue.add("stay-1", "a4", "a5")
    assert sorted(await queue.handle(until_done=lambda ids: len(ids) == 4)) == ["a4", "a5", "b1", "b2"]
    assert await queue.ids("failed") == []


async def test_key_with_many_jobs_is_dropped_in_several_calls(queue: WorkedQueue, order: BullMQOrder) -> None:
    """More jobs than one call removes all go."""
    await queue.hold("stay-1", *[f"a{number}" for number in range(350)])
    assert await order.drop(QUEUE, ["stay-1"]) == 350
    assert [name for name in await queue.order_keys() if "stay-1" in name or name.startswith("order:a")] == []


async def test_active_job_is_not_dropped(queue: WorkedQueue, order: BullMQOrder) -> None:
    """A worker keeps the job that it has; those behind it go, also while it runs."""
    await queue.add("stay-1", "a1", "a2", "a3")
    removed: list[int] = []

    class Dropping(Failing):
        async def __call__(self, job: ReceivedJob) -> AttemptResult:
            removed.append(await order.drop(QUEUE, ["stay-1"]))
            return await super().__call__(job)

    attempt = Dropping()
    async with working(queue.valuation.engine(attempt)):
        await until(lambda: queue.redis.zscore(queue.key("completed"), "a1"))
        await queue.add("stay-1", "a4")
        await until(lambda: queue.redis.zscore(queue.key("completed"), "a4"))
    assert attempt.ids == ["a1", "a4"]
    assert removed == [2, 0]


async def test_job_that_is_retried_later_is_dropped(queue: WorkedQueue, order: BullMQOrder) -> None:
    """A first job that waits for its next attempt goes with the rest."""
    await queue.add("stay-1", "a1", "a2", settings=LATER)
    await queue.redis.zrem(queue.key("prioritized"), "a1")
    await queue.redis.zadd(queue.key("delayed"), {"a1": 2**60})
    assert await order.drop(QUEUE, ["stay-1"]) == 2
    assert await queue.ids("delayed") == []


async def test_all_keys_are_dropped(queue: WorkedQueue, order: BullMQOrder) -> None:
    """All jobs that have a key go, and whatever else the order has left behind; other jobs stay."""
    for number in range(5):
        await queue.hold(f"stay-{number}", f"a{number}", f"b{number}")
    await queue.tend()
    await queue.valuation.add(job_of(job_id="other", settings=LATER))
    await queue.redis.hset(queue.key("order:lost"), mapping={"key": "gone"})
    await queue.redis.sadd(queue.key("order:stray:dependencies"), "nothing")
    assert await order.drop_all(QUEUE) == 10
    assert await queue.order_keys() == set()
    assert (await queue.ids("failed"), await queue.ids("waiting-children")) == ([], [])
    assert await queue.ids("prioritized") == ["other"]


async def test_keys_of_active_jobs_stay_when_all_are_dropped(queue: WorkedQueue, order: BullMQOrder) -> None:
    """An event that comes while all is dropped waits for the job that a worker still has."""
    await queue.add("stay-1", "a1", "a2")
    dropped: list[int] = []

    class Dropping(Failing):
        async def __call__(self, job: ReceivedJob) -> AttemptResult:
            if job.id == "a1":
                dropped.append(await order.drop_all(QUEUE))
                await queue.add("stay-1", "a3")
                assert await queue.ids("waiting-children") == ["a3"]
            return await super().__call__(job)

    attempt = Dropping()
    async with working(queue.valuation.engine(attempt)):
        await until(lambda: len(attempt.ids) == 2)
    assert (attempt.ids, dropped) == (["a1", "a3"], [1])


async def test_place_of_a_job_names_its_neighbours(queue: WorkedQueue, order: BullMQOrder) -> None:
    """A job says its key, what it waits for, and what waits for it."""
    await queue.hold("stay-1", "a1", "a2", "a3")
    places = [await order.place_of(QUEUE, job_id) for job_id in ("a1", "a2", "a3")]
    assert [(place.key, place.waits_for, place.waits_for_it) for place in places if place] == [
        *(("stay-1", "", "a2"), ("stay-1", "a1", "a3"), ("stay-1", "a2", "")),
    ]
    assert await order.place_of(QUEUE, "nobody") is None


async def test_place_of_a_job_that_was_passed_has_no_neighbours(queue: WorkedQueue, order: BullMQOrder) -> None:
    """Nothing waits for a failed job that was skipped."""
    await queue.hold("stay-1", "a1", "a2")
    await order.skip(QUEUE, ["stay-1"])
    place = await order.place_of(QUEUE, "a1")
    assert place is not None
    assert (place.key, place.waits_for_it) == ("stay-1", "")


async def test_state_of_the_order_is_counted(queue: WorkedQueue, order: BullMQOrder) -> None:
    """The state has the rule, how many jobs wait, and how many were let go by nobody yet."""
    assert await order.state(QUEUE) is None
    await queue.hold("stay-1", "a1", "a2", "a3")
    state = await order.state(QUEUE)
    assert state is not None
    assert (state.on_failure, state.keys, state.waiting, state.mailbox, state.tended_ms) == ("hold", 1, 2, 0, None)
    await queue.remove("a1")
    state = await order.state(QUEUE)
    assert state is not None
    assert state.mailbox == 1
    await queue.tend()
    state = await order.state(QUEUE)
    assert state is not None
    assert (state.mailbox, state.tended_ms is None) == (0, False)


async def test_key_that_becomes_held_is_told_once(queue: WorkedQueue) -> None:
    """A subscriber reports a key when its first job has failed, not again each time it looks, and not what is older."""
    await queue.hold("stay-0", "z1", "z2")
    await queue.tend()
    await queue.hold("stay-1", "a1", "a2", "a3")
    await queue.tend()
    await queue.tend()
    assert [(one.key, one.job_id, one.waiting) for one in queue.reported] == [("stay-1", "a1", 2)]
