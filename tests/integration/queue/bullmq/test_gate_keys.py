"""What jobs that are handled in order leave behind: nothing, once they are done or gone and their keys are idle."""

import pytest
from msgspec.structs import replace
from support.stepped_queue import SETTINGS, SteppedQueue

from domainstream.queue import JobSettings

RULES = pytest.mark.parametrize("queue", ["hold", "skip"], indirect=True)


async def assert_clean(queue: SteppedQueue) -> None:
    """Look at all keys, also those that others have just looked at; nothing of ours is left."""
    for _ in range(3):
        await queue.tend()
        await queue.age()
    await queue.tend()
    assert await queue.keys() == set()


@RULES
async def test_jobs_that_are_completed(queue: SteppedQueue) -> None:
    """Nothing is left of jobs that are completed, though BullMQ keeps them."""
    await queue.add(*(f"{key}{number}" for number in range(10) for key in "abc"))
    assert len(await queue.work_off()) == 30
    await assert_clean(queue)


@RULES
async def test_jobs_that_are_not_kept(queue: SteppedQueue) -> None:
    """Nothing is left of jobs that BullMQ removes as soon as others are completed."""
    queue.settings = JobSettings(attempts=1, keep_completed_count=1)
    await queue.add(*(f"{key}{number}" for number in range(10) for key in "abc"))
    assert len(await queue.work_off()) == 30
    await assert_clean(queue)


@RULES
async def test_jobs_that_are_removed(queue: SteppedQueue) -> None:
    """Nothing is left of jobs that are removed, first, in the middle, last, or all."""
    await queue.add("a1", "a2", "a3", "a4", "b1", "b2", "b3", "c1", "c2")
    await queue.remove("a3", "a4", "b1", "c2", "c1")
    await queue.tend()
    assert sorted(await queue.work_off()) == ["a1", "a2", "b2", "b3"]
    await assert_clean(queue)


@RULES
async def test_jobs_that_fail_and_are_removed(queue: SteppedQueue) -> None:
    """Nothing is left of jobs that fail for good and are removed, those behind them included."""
    await queue.add("a1", "a2", "a3", "b1")
    assert await queue.started() == ["a1", "b1"]
    await queue.fail("a1", "b1")
    await queue.tend()
    await queue.remove("b1", "a1")
    await queue.tend()
    assert await queue.work_off() == ["a2", "a3"]
    await assert_clean(queue)


@RULES
async def test_jobs_that_come_again(queue: SteppedQueue) -> None:
    """Nothing is left of jobs that were removed and added again, also under another key."""
    await queue.add("a1", "a2", "a3")
    await queue.remove("a1", "a2")
    await queue.add("a2", "a1")
    await queue.remove("a3", "a2")
    entry = queue.entry("a2")
    await queue.add_entries([replace(entry, jobs=tuple(replace(job, order_key="b") for job in entry.jobs))])
    await queue.add("b1")
    await queue.tend()
    assert sorted(await queue.work_off()) == ["a1", "a2", "b1"]
    await assert_clean(queue)


@RULES
async def test_keys_of_jobs_that_come_later(queue: SteppedQueue) -> None:
    """Adding jobs forgets keys that are idle, twice as many as it adds jobs."""
    await queue.add(*(f"key{number}x1" for number in range(10)))
    assert len(await queue.work_off()) == 10
    await queue.age()
    queue.settings = SETTINGS
    await queue.add("a1", "b1")
    left = await queue.keys()
    assert len([key for key in left if key.startswith("order:keys:key")]) == 6
