"""The forwarder in one step, when a server, the network or another consumer interferes."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from domainstream.testing.forwarder_contract import FIRST, SECOND, entries_of, entry_of, job_id
from msgspec.structs import replace
from redis.asyncio import Redis
from support.forwarding import RedisForwarderHarness

from domainstream.errors import ServerRefusedError, ServerUnavailableError
from domainstream.queue import BullMQForwarder, JobSettings, RoutedEntry
from domainstream.queue.bullmq import forwarder
from domainstream.queue.bullmq.scripts import KEYS, script_text
from domainstream.redis.scripts import Script
from domainstream.testing.fault_proxy import FaultProxy

KNOWN_SCRIPTS = {
    "addStandardJob": "10f8d228e89ed4f765afc5b3bafb6defbb84e311",
    "addDelayedJob": "ef55a5770d2c32d68b8528f29ced32261188aa30",
    "addPrioritizedJob": "7fe9ddf6854813edeaaa9b83839ac94693b1de8f",
}
"""Those of bullmq 3.4.4. When one changes, read what changed in it before renewing this."""


@pytest.fixture
async def harness(redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[RedisForwarderHarness]:
    """Streams and queues on a server."""
    harness = RedisForwarderHarness(redis, stream_prefix)
    harness.forwarder = forwarder_of(harness, redis_url)
    yield harness
    await harness.forwarder.close()


def forwarder_of(harness: RedisForwarderHarness, url: str) -> BullMQForwarder:
    """Open a hand-over for the streams and queues of a harness."""
    return BullMQForwarder.from_url(
        url, group=harness.group, consumer=harness.consumer, prefix=harness.prefix, bull_prefix=harness.bull_prefix
    )


def test_scripts_are_the_ones_we_know() -> None:
    """A release of bullmq with other scripts fails this test, so that they are read before they are used."""
    assert {name: Script.of(script_text(name)).sha for name in KEYS} == KNOWN_SCRIPTS


async def test_entry_that_was_forwarded_is_skipped_permanently(harness: RedisForwarderHarness) -> None:
    """A repeat adds nothing even when the queue has forgotten the job and would accept it again."""
    (delivery,) = await harness.deliver(FIRST)
    await harness.forwarder.forward([entry_of(delivery, "valuation")])
    await harness.redis.delete(*await harness.redis.keys(f"{harness.bull_prefix}:*"))
    await harness.forwarder.forward([entry_of(delivery, "valuation")])
    assert await harness.jobs("valuation") == []


async def test_entry_that_another_consumer_reclaimed_is_skipped(harness: RedisForwarderHarness) -> None:
    """A consumer that slept too long leaves its entries to the consumer that has them now."""
    taken, kept = await harness.deliver(FIRST, FIRST)
    await harness.redis.xclaim(harness.key(FIRST), harness.group, "another", 0, [taken.entry_id])
    await harness.forwarder.forward(entries_of([taken, kept], "valuation"))
    assert await harness.jobs("valuation") == [job_id(kept)]
    assert await harness.pending() == 1


async def test_lost_replies_add_nothing_twice(harness: RedisForwarderHarness, redis_url: str) -> None:
    """Repeating a call whose reply was lost adds nothing."""
    deliveries = await harness.deliver(FIRST, SECOND)
    async with FaultProxy(redis_url) as proxy:
        forwarding = forwarder_of(harness, proxy.url)
        await forwarding.forward([])
        proxy.lose_replies_to(b"EVAL", 1)
        with pytest.raises(ServerUnavailableError):
            await forwarding.forward(entries_of(deliveries, "valuation"))
        await forwarding.forward(entries_of(deliveries, "valuation"))
        await forwarding.close()
    assert await harness.jobs("valuation") == [job_id(delivery) for delivery in deliveries]


async def test_rejected_job_leaves_nothing_acknowledged(harness: RedisForwarderHarness) -> None:
    """If one of several jobs cannot be added, the whole call acknowledges nothing, and the error quotes no data."""
    deliveries = await harness.deliver(FIRST, FIRST)
    await harness.redis.set(f"{harness.bull_prefix}:billing:wait", "text")
    with pytest.raises(ServerRefusedError, match=r"BullMQ did not take job event-first_channel.*WRONGTYPE") as raised:
        await harness.forwarder.forward(entries_of(deliveries, "valuation", "billing"))
    assert await harness.pending() == 2
    assert "score" not in str(raised.value)


@pytest.mark.parametrize("broken", ["wait", "marker"], ids=["before its id is in the queue", "after it"])
async def test_rejected_job_can_be_added_later(harness: RedisForwarderHarness, broken: str) -> None:
    """What BullMQ wrote before it failed is removed; otherwise the job would look like a repeat, or be queued twice."""
    (delivery,) = await harness.deliver(FIRST)
    await harness.redis.set(f"{harness.bull_prefix}:valuation:{broken}", "text")
    with pytest.raises(ServerRefusedError):
        await harness.forwarder.forward([entry_of(delivery, "valuation")])
    await harness.redis.delete(f"{harness.bull_prefix}:valuation:{broken}")
    await harness.forwarder.forward([entry_of(delivery, "valuation")])
    assert await harness.jobs("valuation") == [job_id(delivery)]
    assert await harness.pending() == 0


async def test_failed_call_is_not_overtaken(harness: RedisForwarderHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that were sent after one that failed do nothing for its channels, so that order is kept."""
    monkeypatch.setattr(forwarder, "MAX_JOBS_PER_CALL", 1)
    rejected, later, elsewhere = await harness.deliver(FIRST, FIRST, SECOND)
    await harness.redis.set(f"{harness.bull_prefix}:billing:wait", "text")
    entries = [entry_of(rejected, "billing"), entry_of(later, "valuation"), entry_of(elsewhere, "valuation")]
    with pytest.raises(ServerRefusedError, match="WRONGTYPE"):
        await harness.forwarder.forward(entries)
    assert await harness.jobs("valuation") == [job_id(elsewhere)]
    assert await harness.pending() == 2


@pytest.mark.parametrize("vanish", ["group", "stream"])
async def test_entries_outlive_their_group_and_stream(harness: RedisForwarderHarness, vanish: str) -> None:
    """What was read before the group was destroyed, or the stream deleted, is still forwarded."""
    deliveries = await harness.deliver(FIRST, SECOND)
    if vanish == "group":
        await harness.redis.xgroup_destroy(harness.key(FIRST), harness.group)
    else:
        await harness.redis.delete(harness.key(FIRST))
    await harness.forwarder.forward(entries_of(deliveries, "valuation"))
    assert await harness.jobs("valuation") == [job_id(delivery) for delivery in deliveries]


async def test_each_kind_of_job_waits_where_bullmq_looks_for_it(harness: RedisForwarderHarness) -> None:
    """Delayed and prioritized jobs are added by BullMQ's scripts for such jobs, also when they are known already."""
    deliveries = await harness.deliver(FIRST, FIRST, FIRST)
    kinds = (JobSettings(), JobSettings(delay=timedelta(minutes=5)), JobSettings(priority=7))
    batch = [
        RoutedEntry(delivery, tuple(replace(job, settings=settings) for job in entry_of(delivery, "valuation").jobs))
        for delivery, settings in zip(deliveries, kinds, strict=True)
    ]
    await harness.forwarder.forward(batch)
    await harness.redis.xgroup_setid(harness.key(FIRST), harness.group, "0")
    await harness.redis.xreadgroup(harness.group, harness.consumer, {harness.key(FIRST): ">"})
    await harness.forwarder.forward(batch)
    queue = harness.queue("valuation")
    ids = [await queue.ids(state) for state in ("wait", "delayed", "prioritized")]
    assert ids == [[job_id(delivery)] for delivery in deliveries]


async def test_options_are_what_bullmq_reads(harness: RedisForwarderHarness) -> None:
    """The settings of a handler are stored with its jobs in BullMQ's names and units."""
    (delivery,) = await harness.deliver(FIRST)
    settings = JobSettings(attempts=5, backoff=timedelta(seconds=2), jitter=0, keep_completed=timedelta(minutes=1))
    jobs = tuple(replace(job, settings=settings) for job in entry_of(delivery, "valuation").jobs)
    await harness.forwarder.forward([RoutedEntry(delivery, jobs)])
    assert json.loads((await harness.queue("valuation").fields(job_id(delivery)))["opts"]) == {
        "attempts": 5,
        "delay": 0,
        "backoff": {"type": "exponential", "delay": 2000, "jitter": 0, "maxDelay": 3_600_000},
        "jobId": job_id(delivery),
        "removeOnComplete": {"age": 60, "count": 10_000},
        "removeOnFail": False,
        "stackTraceLimit": 5,
    }


async def test_script_that_the_server_forgot_is_sent_again(harness: RedisForwarderHarness) -> None:
    """After SCRIPT FLUSH or a restart of the server, forwarding works as before."""
    for _ in range(2):
        await harness.redis.script_flush()
        await harness.forwarder.forward(entries_of(await harness.deliver(FIRST), "valuation"))
    assert len(await harness.jobs("valuation")) == 2
