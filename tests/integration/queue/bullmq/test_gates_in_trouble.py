"""Jobs in order in bad times: keys of another type, a full memory, clocks that differ, thousands of jobs at once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from support.hand_over import RefusedError
from support.stepped_queue import TOKEN, SteppedQueue

from domainstream.queue.bullmq.job_batch import gate_script
from domainstream.redis.scripts import Script


@pytest.fixture
async def full(redis: Redis) -> AsyncIterator[Redis]:
    """A server that will be full; afterwards it is not."""
    yield redis
    await redis.config_set("maxmemory", "0")


@pytest.mark.parametrize("broken", ["waiting-children", "order:waiting-children", "order:keys"])
async def test_rule_1_a_refused_job_leaves_nothing_behind(queue: SteppedQueue, broken: str) -> None:
    """A job that a key of another type keeps out is in no state; the one before it looks like the last of its key."""
    await queue.add("a1")
    await queue.redis.delete(queue.key(broken))
    await queue.redis.set(queue.key(broken), "text")
    refused = "b1" if broken == "order:keys" else "a2"
    entry = queue.entry(refused)
    with pytest.raises(RefusedError, match="WRONGTYPE"):
        await queue.add_entries([entry])
    await queue.redis.delete(queue.key(broken))
    assert await queue.where() == {"wait": ["a1"]}
    assert not await queue.redis.exists(queue.key(f"event-{refused}"))
    await queue.add_entries([entry])
    await queue.add("a3")
    assert sorted(await queue.work_off()) == sorted({"a1", refused, "a3"})


@pytest.mark.parametrize("broken", ["order:keys:a", "order:event-a2", "order:event-a2:dependencies"])
async def test_rule_1_a_broken_key_of_ours_leaves_no_job_behind(queue: SteppedQueue, broken: str) -> None:
    """A list or a gate of another type keeps its job out until somebody deletes it; then all are handled in order."""
    if broken != "order:keys:a":
        await queue.add("a1")
    await queue.redis.set(queue.key(broken), "text")
    entry = queue.entry("a2")
    for _ in range(3):
        with pytest.raises(RefusedError, match="WRONGTYPE"):
            await queue.add_entries([entry])
    assert not await queue.redis.exists(queue.key("event-a2"))
    await queue.redis.delete(queue.key(broken))
    await queue.add_entries([entry])
    await queue.add("a3")
    assert await queue.work_off() == [name for name in ("a1", "a2", "a3") if name != "a1" or "event" in broken]


async def test_rule_2_no_entry_is_passed(queue: SteppedQueue) -> None:
    """Where BullMQ does not take a job, the channel waits: nothing that comes after it is added, whatever its key."""
    await queue.add("a1")
    await queue.redis.set(queue.key("waiting-children"), "text")
    entries = [queue.entry("b1"), queue.entry("a2"), queue.entry("c1")]
    with pytest.raises(RefusedError, match="HOLES 1 "):
        await queue.add_entries(entries)
    assert await queue.where_without("waiting-children") == {"wait": ["a1", "b1"]}
    await queue.redis.delete(queue.key("waiting-children"))
    await queue.add_entries(entries)
    assert sorted(await queue.work_off()) == ["a1", "a2", "b1", "c1"]


async def test_rule_3_with_skip_a_failed_job_is_passed(skipping: SteppedQueue) -> None:
    """With skip, the job behind one that has failed for good starts at the next look."""
    await skipping.add("a1", "a2", "a3")
    assert await skipping.started() == ["a1"]
    await skipping.fail("a1")
    assert await skipping.start() is None
    await skipping.tend()
    await skipping.add("a4")
    assert await skipping.work_off() == ["a2", "a3", "a4"]


async def test_rule_3_with_skip_a_worker_whose_clock_is_slow(skipping: SteppedQueue) -> None:
    """With skip, a job is passed although its worker says that it failed before another one that was passed already."""
    await skipping.add("a1", "a2", "b1", "b2")
    assert await skipping.started() == ["a1", "b1"]
    await skipping.fail("a1")
    await skipping.tend()
    await skipping.fail("b1")
    await skipping.redis.zincrby(skipping.key("failed"), -2_000, "event-b1")
    await skipping.tend()
    assert sorted(await skipping.started()) == ["a2", "b2"]


async def test_rule_3_with_skip_a_worker_whose_clock_is_wrong(skipping: SteppedQueue) -> None:
    """With skip, a job that seems to have failed an hour ago is passed when its key is looked at again."""
    await skipping.add("a1", "a2", "b1", "b2")
    assert await skipping.started() == ["a1", "b1"]
    await skipping.fail("a1")
    await skipping.tend()
    await skipping.fail("b1")
    await skipping.redis.zincrby(skipping.key("failed"), -3_600_000, "event-b1")
    await skipping.tend()
    assert await skipping.started() == ["a2"]
    await skipping.age()
    await skipping.tend()
    assert await skipping.started() == ["b2"]


async def test_rule_3_with_skip_many_fail_in_one_millisecond(skipping: SteppedQueue) -> None:
    """With skip, all are passed that fail at one time, however many: a worker may report them together."""
    count = 250
    await skipping.add(*(f"key{number}x{step}" for number in range(count) for step in (1, 2)))
    first = await skipping.started()
    assert len(first) == count
    await skipping.fail(*first)
    scores: Any = dict.fromkeys([f"event-{name}" for name in first], 1_700_000_000_000)
    await skipping.redis.zadd(skipping.key("failed"), scores)
    await skipping.tend()
    assert len(await skipping.started()) == count


async def test_rule_6_mail_is_opened_in_parts(queue: SteppedQueue) -> None:
    """One job behind thousands that are done does not keep the server busy for long: a call drops 1,000 of them."""
    jobs = 3_000
    await queue.add(*(f"a{number}" for number in range(jobs)), "a9999")
    await queue.let_be_done("a", jobs)
    script = Script.of(gate_script("tend_gates"))
    before = len(await queue.list_of("a"))
    call = (1, queue.key("order:wait"), queue.key(""), 1_700_000_000_000, "hold", 100)
    ((left, held),) = await queue.owner.queue_link.eval_each(script, [call])
    assert (left, held) == (1, [])
    assert before - len(await queue.list_of("a")) <= 1_001
    await queue.tend()
    assert await queue.work_off() == ["a9999"]


async def test_thousands_of_jobs_that_are_done(queue: SteppedQueue) -> None:
    """A job whose key has a list of 3,000 that are done starts at the next look, and so do those behind it."""
    jobs = 3_000
    await queue.add(*(f"a{number}" for number in range(jobs)))
    await queue.let_be_done("a", jobs)
    await queue.add("a9998", "a9999")
    await queue.tend()
    assert await queue.work_off() == ["a9998", "a9999"]


async def test_memory_that_is_full_loses_no_mail(queue: SteppedQueue, full: Redis) -> None:
    """When the server is full, a call that adds nothing new takes no job out of the mailbox."""
    await queue.add("a1", "a2", "a3", "b1")
    assert await queue.started() == ["a1", "b1"]
    await queue.complete("b1")
    await queue.remove("a1", force=True)
    again = queue.entry("b1")
    await full.config_set("maxmemory", "1")
    with pytest.raises(RefusedError, match="memory"):
        await queue.add_entries([again])
    await full.config_set("maxmemory", "0")
    await queue.tend()
    assert await queue.work_off() == ["a2", "a3"]


async def test_memory_that_is_full_loses_no_skipped_key(skipping: SteppedQueue, full: Redis) -> None:
    """The same of a job that is to be passed."""
    await skipping.add("a1", "a2", "a3", "b1")
    assert await skipping.started() == ["a1", "b1"]
    await skipping.complete("b1")
    await skipping.fail("a1")
    again = skipping.entry("b1")
    await full.config_set("maxmemory", "1")
    with pytest.raises(RefusedError, match="memory"):
        await skipping.add_entries([again])
    await full.config_set("maxmemory", "0")
    await skipping.tend()
    assert await skipping.work_off() == ["a2", "a3"]


async def test_memory_that_is_full_in_the_middle(queue: SteppedQueue, full: Redis) -> None:
    """A job that was refused because the memory is full is added in order afterwards."""
    await queue.add("a1", "a2")
    await queue.remove("a2")
    entries = [queue.entry("a2"), queue.entry("a3")]
    await full.config_set("maxmemory", "1")
    with pytest.raises(RefusedError, match="memory"):
        await queue.add_entries(entries)
    await full.config_set("maxmemory", "0")
    await queue.add_entries(entries)
    assert await queue.work_off() == ["a1", "a2", "a3"]


async def test_a_job_that_stalls_too_often(queue: SteppedQueue) -> None:
    """A job whose workers die more often than is allowed fails, and then holds its key."""
    await queue.add("a1", "a2")
    assert await queue.started() == ["a1"]
    await queue.redis.delete(queue.key("event-a1:lock"))
    for _ in range(2):  # what is active at one look and has no lock at the next has stalled
        await queue.redis.delete(queue.key("stalled-check"))
        await queue.worker.scripts.moveStalledJobsToWait(0, 1)
    await queue.tend()
    assert await queue.where() == {"wait": ["a1"], "waiting-children": ["a2"]}
    assert await queue.redis.hexists(queue.key("event-a1"), "defa")
    assert await queue.started() == ["a1"]
    await queue.fail("a1")
    await queue.tend()
    assert await queue.where() == {"failed": ["a1"], "waiting-children": ["a2"]}


async def test_a_job_that_waits_for_jobs_of_its_handler(queue: SteppedQueue) -> None:
    """A job that waits for jobs which its own handler has added is not started by a look at its gate."""
    await queue.add("a1", "a2", "a3")
    assert await queue.started() == ["a1"]
    await queue.complete("a1")
    assert await queue.started() == ["a2"]
    await queue.redis.sadd(queue.key("event-a2:dependencies"), queue.key("event-child"))
    await queue.worker.scripts.moveToWaitingChildren("event-a2", TOKEN, {})
    await queue.redis.rpush(queue.key("order:wait"), "event-a2")
    await queue.age()
    for _ in range(2):
        await queue.tend()
    assert await queue.where() == {"completed": ["a1"], "waiting-children": ["a2", "a3"]}
