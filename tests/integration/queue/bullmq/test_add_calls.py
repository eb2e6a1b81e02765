"""Adding the jobs of ordered channels: what is written, and what marks, epochs and holes do."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from support.consuming import BullJobs
from support.hand_over import CHANNEL, HandOver, Instance, RefusedError, events, routed

from domainstream.queue import BullMQQueue, JobSettings, RoutedEntry
from domainstream.queue.bullmq import add_calls, queue
from domainstream.queue.bullmq.add_calls import fence_call, fenced_of
from domainstream.queue.bullmq.scripts import KEYS, script_text
from domainstream.redis.scripts import Script
from domainstream.stream import Delivery

KNOWN_SCRIPTS = {
    "addStandardJob": "10f8d228e89ed4f765afc5b3bafb6defbb84e311",
    "addDelayedJob": "ef55a5770d2c32d68b8528f29ced32261188aa30",
    "addPrioritizedJob": "7fe9ddf6854813edeaaa9b83839ac94693b1de8f",
}
"""Those of bullmq 3.4.4. When one changes, read what changed in it before renewing this."""

KINDS = (JobSettings(), JobSettings(delay=timedelta(minutes=5)), JobSettings(priority=7))


@pytest.fixture
async def owner(hand_over: HandOver) -> Instance:
    """The owner of a channel with four entries and two queues."""
    await hand_over.add(i1_1="one", i2_1="two", i3_1="three", i4_1="four")
    owner = hand_over.instance("a", "valuation", "billing")
    await owner.begin()
    return owner


@pytest.fixture
async def full(redis: Redis) -> AsyncIterator[Redis]:
    """A server that will be full; afterwards it is not."""
    yield redis
    await redis.config_set("maxmemory", "0")


async def mark(scene: HandOver, owner: Instance, queue: str = "valuation") -> str:
    """Return the id of a queue's mark; empty if it has had none of the channel's jobs."""
    value: Any = await scene.redis.hget(scene.marks(queue), owner.epoch.mark)
    return str(value.decode().partition(" ")[2])


async def holes(scene: HandOver, owner: Instance, queue: str = "valuation") -> list[str]:
    """Return the ids of a queue's holes."""
    value: Any = await scene.redis.hget(scene.marks(queue), f"{owner.epoch.mark}|holes")
    return sorted(value.decode().split()) if value else []


async def break_queue(scene: HandOver, queue: str = "valuation") -> str:
    """Let BullMQ's script fail for a queue; return the key that must be deleted to repair it."""
    key = f"{scene.bull_prefix}:{queue}:wait"
    await scene.redis.delete(key)
    await scene.redis.set(key, "text")
    return key


async def contents(redis: Redis, prefix: str) -> dict[str, Any]:
    """Return everything below a prefix, but for the ids that the server gives to BullMQ's own events."""
    found: dict[str, Any] = {}
    keys: Any = await redis.keys(f"{prefix}:*")
    for key in keys:
        name, typed = key.decode().removeprefix(prefix), cast("bytes", await redis.type(key))
        kind = typed.decode()
        if kind == "hash":
            fields: Any = await redis.hgetall(key)
            found[name] = fields | ({"opts": json.loads(fields.pop(b"opts"))} if b"opts" in fields else {})
        elif kind == "list":
            found[name] = await redis.lrange(key, 0, -1)
        elif kind == "zset":
            found[name] = await redis.zrange(key, 0, -1, withscores=True)
        elif kind == "stream":
            entries: Any = await redis.xrange(key)
            found[name] = [fields for _, fields in entries]
        else:
            found[name] = await redis.get(key)
    return found


def test_scripts_are_the_ones_we_know() -> None:
    """A release of bullmq with other scripts fails this test, so that they are read before they are used."""
    assert {name: Script.of(script_text(name)).sha for name in KEYS} == KNOWN_SCRIPTS


async def test_options_are_what_bullmq_reads(hand_over: HandOver, owner: Instance) -> None:
    """The settings of a handler are stored with its jobs in BullMQ's names and units."""
    settings = JobSettings(attempts=5, backoff=timedelta(seconds=2), jitter=0, keep_completed=timedelta(minutes=1))
    await owner.add(routed((await owner.new())[:1], "valuation", settings=settings))
    job = await BullJobs(hand_over.redis, hand_over.bull_prefix, "valuation").fields("event-one")
    assert json.loads(job["opts"]) == {
        "attempts": 5,
        "delay": 0,
        "backoff": {"type": "exponential", "delay": 2000, "jitter": 0, "maxDelay": 3_600_000},
        "jobId": "event-one",
        "removeOnComplete": {"age": 60, "count": 10_000},
        "removeOnFail": False,
        "stackTraceLimit": 5,
    }


@pytest.mark.parametrize("broken", ["wait", "marker"], ids=["before its id is in the queue", "after it"])
async def test_refused_job_leaves_nothing_behind(hand_over: HandOver, owner: Instance, broken: str) -> None:
    """What BullMQ wrote before it failed is removed; otherwise the job would look like a repeat, or be queued twice."""
    (one, *_) = await owner.new()
    key = f"{hand_over.bull_prefix}:valuation:{broken}"
    await hand_over.redis.set(key, "text")
    ((added, refused),) = await owner.add(routed([one], "valuation"))
    assert (added, len(refused)) == (0, 1)
    await hand_over.redis.delete(key)
    assert await owner.add(routed([one], "valuation")) == [[1, []]]
    assert await hand_over.jobs() == ["one"]


async def test_script_that_the_server_forgot_is_sent_again(hand_over: HandOver, owner: Instance) -> None:
    """After SCRIPT FLUSH, jobs are added as before."""
    one, two, *_ = await owner.new()
    for entry in (one, two):
        await hand_over.redis.script_flush()
        await owner.add(routed([entry], "valuation"))
    assert await hand_over.jobs() == ["one", "two"]


async def test_queues_hold_what_single_jobs_would_leave(
    hand_over: HandOver, owner: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs of each kind, new and known ones, leave the hashes, lists, sets, events and markers of a `BullMQQueue`."""
    for module in (queue, add_calls):
        monkeypatch.setattr(module, "now_ms", lambda: 1_700_000_000_000)
    batch = [
        entry
        for delivery, settings in zip(await owner.new(), (*KINDS, KINDS[0]), strict=True)
        for entry in routed([delivery], "valuation", "billing", settings=settings)
    ]
    await owner.add(batch)
    await hand_over.redis.delete(*(hand_over.marks(queue) for queue in owner.queues))
    await owner.fence()
    owner.epoch.reached.clear()
    await owner.add(batch)
    await hand_over.redis.delete(*(hand_over.marks(queue) for queue in owner.queues))
    other = f"{hand_over.prefix}other"
    plain = BullMQQueue.from_url(hand_over.url, bull_prefix=other)
    for _ in range(2):
        await plain.add([job for entry in batch for job in entry.jobs])
    await plain.close()
    ours = await contents(hand_over.redis, hand_over.bull_prefix)
    assert ours == await contents(hand_over.redis, other)
    assert {":valuation:wait", ":valuation:delayed", ":valuation:prioritized", ":billing:events"} <= ours.keys()


async def test_marks_follow_the_jobs(hand_over: HandOver, owner: Instance) -> None:
    """Each queue's mark is at the last entry whose jobs it has; entries at or below it are skipped."""
    one, two, *_ = entries = await owner.new()
    assert await owner.add(routed([one], "valuation", "billing")) == [[2, []]]
    assert await owner.add(routed([two], "valuation")) == [[1, []]]
    assert (await mark(hand_over, owner), await mark(hand_over, owner, "billing")) == ("2-1", "1-1")
    assert await owner.add(routed(entries, "valuation", "billing")) == [[5, []]]
    assert await hand_over.jobs("valuation") == await hand_over.jobs("billing") == ["one", "two", "three", "four"]


async def test_all_jobs_of_an_entry_are_added_before_its_mark(hand_over: HandOver, owner: Instance) -> None:
    """An entry may become several jobs of one queue, in any order with those of others."""
    (one, *_) = await owner.new()
    (entry,) = routed([one], "valuation", "billing")
    first, other = entry.jobs
    entry = replace(entry, jobs=(first, other, replace(first, id="event-one-again")))
    assert await owner.add([entry]) == [[3, []]]
    assert await hand_over.jobs() == ["one", "one-again"]


async def test_refused_entry_holds_up_nobody_and_is_added_later(hand_over: HandOver, owner: Instance) -> None:
    """What one queue refuses becomes its hole; others have it, and a later attempt adds it where it is missing."""
    broken = await break_queue(hand_over, "billing")
    one, two, *_ = await owner.new()
    ((count, refused),) = await owner.add(routed([one], "valuation", "billing"))
    assert (count, refused[0][:3]) == (1, [1, b"1-1", 2])
    assert b"WRONGTYPE" in refused[0][3]
    await hand_over.redis.delete(broken)
    assert await owner.add(routed([two], "valuation", "billing")) == [[2, []]]
    assert await holes(hand_over, owner, "billing") == ["1-1"]
    assert await owner.add(routed([one], "valuation", "billing")) == [[1, []]]
    assert (await holes(hand_over, owner, "billing"), await mark(hand_over, owner, "billing")) == ([], "2-1")
    assert await hand_over.jobs("valuation") == ["one", "two"]
    assert await hand_over.jobs("billing") == ["two", "one"]


async def test_without_its_hole_it_is_lost(hand_over: HandOver, owner: Instance) -> None:
    """Control: a mark that has passed an entry, and nothing that says it is missing."""
    broken = await break_queue(hand_over)
    one, two, *_ = await owner.new()
    await owner.add(routed([one], "valuation"))
    await hand_over.redis.delete(broken)
    await owner.add(routed([two], "valuation"))
    await hand_over.redis.hdel(hand_over.marks("valuation"), f"{owner.epoch.mark}|holes")
    assert await owner.add(routed([one], "valuation")) == [[0, []]]


async def test_dead_letter_is_a_hole_no_longer(hand_over: HandOver, owner: Instance) -> None:
    """An entry that was given up, and stored as a dead letter, takes no place among the holes of any queue."""
    broken = [await break_queue(hand_over, queue) for queue in owner.queues]
    one, two, *_ = await owner.new()
    await owner.add(routed([one, two], "valuation", "billing"))
    assert await holes(hand_over, owner) == ["1-1", "2-1"]
    await owner.add(routed([one]))
    assert await holes(hand_over, owner) == await holes(hand_over, owner, "billing") == ["2-1"]
    await hand_over.redis.delete(*broken)


async def test_channel_stops_at_too_many_holes(hand_over: HandOver, owner: Instance) -> None:
    """A queue that refuses everything is not passed for ever: after 100 entries the channel waits, in order."""
    broken = await break_queue(hand_over)
    entries = [Delivery(CHANNEL, f"{number}-1", b"event-%d" % number) for number in range(10, 112)]
    with pytest.raises(RefusedError, match=r"HOLES 1 .*WRONGTYPE"):
        await owner.add(routed(entries, "valuation"))
    assert len(await holes(hand_over, owner)) == 100
    assert await mark(hand_over, owner) == "109-1"
    await hand_over.redis.delete(broken)
    assert await owner.add(routed(entries, "valuation")) == [[102, []]]
    assert await holes(hand_over, owner) == []


async def test_fence_lowers_mark_and_drops_holes_above(hand_over: HandOver, owner: Instance) -> None:
    """What is read again after a failover is neither done nor missing."""
    broken = await break_queue(hand_over)
    one, two, three, four = await owner.new()
    await owner.add(routed([one, two, three], "valuation"))
    await hand_over.redis.delete(broken)
    await owner.add(routed([four], "valuation"))
    epoch = owner.epoch.epoch
    announced = (owner.epoch.mark, epoch + 1, "2-1", epoch, "1-1")
    call = fence_call("valuation", [announced], bull_prefix=hand_over.bull_prefix)
    (reply,) = await owner.queue_link.eval_each(add_calls.fence_script(), [call])
    (fenced,) = fenced_of(reply)
    assert (fenced.higher, fenced.mark, fenced.mark_epoch) == (0, "4-1", owner.epoch.epoch)
    assert (await mark(hand_over, owner), await holes(hand_over, owner)) == ("2-1", ["1-1", "2-1"])


async def test_calls_are_cut_and_sent_together(
    hand_over: HandOver, owner: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large batch goes out as several calls, each of which follows the one before."""
    monkeypatch.setattr(add_calls, "MAX_JOBS_PER_CALL", 2)
    entries = await owner.new()
    assert await owner.add(routed(entries, "valuation", "billing")) == [[2, []]] * 4
    assert owner.epoch.reached == {"valuation": "4-1", "billing": "4-1"}
    assert await hand_over.jobs("billing") == events(entries)


async def test_large_numbers_are_compared_exactly(hand_over: HandOver, owner: Instance) -> None:
    """Ids that differ only where a floating-point number would round are different."""
    first, second = (Delivery(CHANNEL, f"1-{2**60 + number}", b"%d" % number) for number in (0, 1))
    await owner.add(routed([first], "valuation"))
    assert await owner.add(routed([second], "valuation")) == [[1, []]]


async def test_full_server_takes_no_part_of_a_call(hand_over: HandOver, owner: Instance, full: Redis) -> None:
    """Without memory a queue gets nothing and its mark stays; the same call succeeds when there is memory."""
    entries = await owner.new()
    await full.config_set("maxmemory", "1")
    with pytest.raises(RefusedError, match="used memory"):
        await owner.add(routed(entries, "valuation", "billing"))
    assert (await mark(hand_over, owner), await holes(hand_over, owner)) == ("", [])
    await full.config_set("maxmemory", "0")
    assert await owner.add(routed(entries, "valuation", "billing")) == [[8, []]]


async def test_full_server_still_takes_a_fence(hand_over: HandOver, owner: Instance, full: Redis) -> None:
    """A new owner can begin, so that it is there when memory is."""
    await full.config_set("maxmemory", "1")
    await owner.begin()
    assert (await mark(hand_over, owner)) == ""


async def test_without_its_first_write_it_would_not(hand_over: HandOver, owner: Instance, full: Redis) -> None:
    """Control: the fence is refused if its first write needs memory."""
    text = add_calls.fence_script().text
    line = "redis.call('HDEL', marks, '')"
    assert text.count(line) == 1
    await full.config_set("maxmemory", "1")
    call = fence_call("valuation", [("field", 1, "0-0", 0, "")], bull_prefix=hand_over.bull_prefix)
    (reply,) = await owner.queue_link.eval_each(Script.of(text.replace(line, "")), [call])
    assert "used memory" in str(reply)


async def test_call_has_the_keys_of_the_queues_that_get_jobs(owner: Instance) -> None:
    """A queue that gets no job in a call costs nothing there, and may even have gone to a later owner."""
    one, *_ = await owner.new()
    (call,) = add_calls.add_calls(routed([one], "billing"), {CHANNEL: owner.epoch}, bull_prefix="bull")
    assert list(call.queues) == ["billing"]
    assert call.arguments[0] == 12


async def test_entry_that_is_given_up_concerns_all_queues(owner: Instance) -> None:
    """An entry without jobs may be a hole in any queue, so its call has the keys of all."""
    one, two, *_ = await owner.new()
    entries = [*routed([one], "billing"), RoutedEntry(two)]
    (call,) = add_calls.add_calls(entries, {CHANNEL: owner.epoch}, bull_prefix="bull")
    assert sorted(call.queues) == ["billing", "valuation"]
    assert await owner.add(entries) == [[1, []]]


async def test_queues_are_in_order_each_for_itself(hand_over: HandOver, owner: Instance) -> None:
    """Entries whose jobs go to different queues move the marks of these alone; what is read again adds nothing."""
    one, two, three, four = await owner.new()
    entries = [*routed([one], "valuation"), *routed([two, three], "billing"), *routed([four], "valuation")]
    assert await owner.add(entries) == [[4, []]]
    assert await mark(hand_over, owner) == "4-1"
    assert await mark(hand_over, owner, "billing") == "3-1"
    await hand_over.forget()
    await hand_over.forget("billing")
    assert await owner.add(entries) == [[0, []]]
    assert await hand_over.jobs() == await hand_over.jobs("billing") == []
