"""The hand-over in one step, where a server, a network or another consumer gets in its way."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from support.forwarding import RedisForwarderHarness

from domainstream.errors import ServerRefusedError, ServerUnavailableError
from domainstream.queue import BullMQForwarder, JobSettings, RoutedEntry
from domainstream.queue.bullmq import forwarder
from domainstream.queue.bullmq.scripts import KEYS, script_text
from domainstream.redis.scripts import Script
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.testing.forwarder_contract import FIRST, SECOND, job_id, routed_entries, routed_entry

KNOWN_SCRIPTS = {
    "addStandardJob": "10f8d228e89ed4f765afc5b3bafb6defbb84e311",
    "addDelayedJob": "ef55a5770d2c32d68b8528f29ced32261188aa30",
    "addPrioritizedJob": "7fe9ddf6854813edeaaa9b83839ac94693b1de8f",
}
"""Those of bullmq 3.4.4. When one changes, read what changed in it before renewing this."""


@pytest.fixture
async def place(redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[RedisForwarderHarness]:
    """Streams and queues on a server."""
    place = RedisForwarderHarness(redis, stream_prefix)
    place.forward = forwarder_of(place, redis_url)
    yield place
    await place.forward.close()


def forwarder_of(place: RedisForwarderHarness, url: str) -> BullMQForwarder:
    """Open a hand-over for the streams and queues of a place."""
    return BullMQForwarder.from_url(
        url, group=place.group, consumer=place.consumer, prefix=place.prefix, bull_prefix=place.bull_prefix
    )


def test_scripts_are_the_ones_we_know() -> None:
    """A new release of bullmq with other scripts is looked at before it is used."""
    assert {name: Script.of(script_text(name)).sha for name in KEYS} == KNOWN_SCRIPTS


async def test_what_was_handed_over_is_passed_over_for_ever(place: RedisForwarderHarness) -> None:
    """A repeat adds nothing even when the queue has forgotten the job, which would let it in again."""
    (delivery,) = await place.deliver(FIRST)
    await place.forward.forward([routed_entry(delivery, "valuation")])
    await place.redis.delete(*await place.redis.keys(f"{place.bull_prefix}:*"))
    await place.forward.forward([routed_entry(delivery, "valuation")])
    assert await place.jobs("valuation") == []


async def test_what_another_consumer_took_over_is_passed_over(place: RedisForwarderHarness) -> None:
    """A consumer that slept too long leaves its entries to whoever has them now."""
    taken, kept = await place.deliver(FIRST, FIRST)
    await place.redis.xclaim(place.key(FIRST), place.group, "another", 0, [taken.entry_id])
    await place.forward.forward(routed_entries([taken, kept], "valuation"))
    assert await place.jobs("valuation") == [job_id(kept)]
    assert await place.pending() == 1


async def test_lost_replies_add_nothing_twice(place: RedisForwarderHarness, redis_url: str) -> None:
    """After a reply that never came the same call does nothing more."""
    deliveries = await place.deliver(FIRST, SECOND)
    async with FaultProxy(redis_url) as proxy:
        forward = forwarder_of(place, proxy.url)
        await forward.forward([])
        proxy.lose_replies_to(b"EVAL", 1)
        with pytest.raises(ServerUnavailableError):
            await forward.forward(routed_entries(deliveries, "valuation"))
        await forward.forward(routed_entries(deliveries, "valuation"))
        await forward.close()
    assert await place.jobs("valuation") == [job_id(delivery) for delivery in deliveries]


async def test_refused_job_leaves_nothing_acknowledged(place: RedisForwarderHarness) -> None:
    """When one of several jobs cannot be added, the whole call settles no entry, and the error quotes no data."""
    deliveries = await place.deliver(FIRST, FIRST)
    await place.redis.set(f"{place.bull_prefix}:billing:wait", "text")
    with pytest.raises(ServerRefusedError, match=r"BullMQ did not take job event-first_channel.*WRONGTYPE") as raised:
        await place.forward.forward(routed_entries(deliveries, "valuation", "billing"))
    assert await place.pending() == 2
    assert ("score" in str(raised.value)) is False


@pytest.mark.parametrize("broken", ["wait", "marker"], ids=["before its id is in the queue", "after it"])
async def test_refused_job_can_be_added_later(place: RedisForwarderHarness, broken: str) -> None:
    """What BullMQ wrote before it failed is taken back: left behind, it would look like a repeat, or come twice."""
    (delivery,) = await place.deliver(FIRST)
    await place.redis.set(f"{place.bull_prefix}:valuation:{broken}", "text")
    with pytest.raises(ServerRefusedError):
        await place.forward.forward([routed_entry(delivery, "valuation")])
    await place.redis.delete(f"{place.bull_prefix}:valuation:{broken}")
    await place.forward.forward([routed_entry(delivery, "valuation")])
    assert await place.jobs("valuation") == [job_id(delivery)]
    assert await place.pending() == 0


async def test_what_fails_is_not_overtaken(place: RedisForwarderHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several calls under way, those after one that failed do nothing for the same channels: order is kept."""
    monkeypatch.setattr(forwarder, "MOST_JOBS", 1)
    refused, later, elsewhere = await place.deliver(FIRST, FIRST, SECOND)
    await place.redis.set(f"{place.bull_prefix}:billing:wait", "text")
    handed = [routed_entry(refused, "billing"), routed_entry(later, "valuation"), routed_entry(elsewhere, "valuation")]
    with pytest.raises(ServerRefusedError, match="WRONGTYPE"):
        await place.forward.forward(handed)
    assert await place.jobs("valuation") == [job_id(elsewhere)]
    assert await place.pending() == 2


@pytest.mark.parametrize("vanish", ["group", "stream"])
async def test_entries_outlive_their_group_and_stream(place: RedisForwarderHarness, vanish: str) -> None:
    """What was read before somebody destroyed the group, or deleted the stream, is handed over all the same."""
    deliveries = await place.deliver(FIRST, SECOND)
    if vanish == "group":
        await place.redis.xgroup_destroy(place.key(FIRST), place.group)
    else:
        await place.redis.delete(place.key(FIRST))
    await place.forward.forward(routed_entries(deliveries, "valuation"))
    assert await place.jobs("valuation") == [job_id(delivery) for delivery in deliveries]


async def test_each_kind_of_job_waits_where_bullmq_looks_for_it(place: RedisForwarderHarness) -> None:
    """Delayed and prioritized jobs are added by BullMQ's scripts for those, also when they are known already."""
    deliveries = await place.deliver(FIRST, FIRST, FIRST)
    kinds = (JobSettings(), JobSettings(delay=timedelta(minutes=5)), JobSettings(priority=7))
    batch = [
        RoutedEntry(
            delivery, tuple(replace(job, settings=settings) for job in routed_entry(delivery, "valuation").jobs)
        )
        for delivery, settings in zip(deliveries, kinds, strict=True)
    ]
    await place.forward.forward(batch)
    await place.redis.xgroup_setid(place.key(FIRST), place.group, "0")
    await place.redis.xreadgroup(place.group, place.consumer, {place.key(FIRST): ">"})
    await place.forward.forward(batch)
    queue = place.queue("valuation")
    found = [await queue.ids(state) for state in ("wait", "delayed", "prioritized")]
    assert found == [[job_id(delivery)] for delivery in deliveries]


async def test_options_are_what_bullmq_reads(place: RedisForwarderHarness) -> None:
    """A handler's settings reach its jobs in BullMQ's words and units."""
    (delivery,) = await place.deliver(FIRST)
    settings = JobSettings(attempts=5, backoff=timedelta(seconds=2), jitter=0, keep_completed=timedelta(minutes=1))
    jobs = tuple(replace(job, settings=settings) for job in routed_entry(delivery, "valuation").jobs)
    await place.forward.forward([RoutedEntry(delivery, jobs)])
    assert json.loads((await place.queue("valuation").fields(job_id(delivery)))["opts"]) == {
        "attempts": 5,
        "delay": 0,
        "backoff": {"type": "exponential", "delay": 2000, "jitter": 0},
        "jobId": job_id(delivery),
        "removeOnComplete": {"age": 60, "count": 10_000},
        "removeOnFail": {"age": 86_400},
    }


async def test_script_that_the_server_forgot_is_sent_again(place: RedisForwarderHarness) -> None:
    """After SCRIPT FLUSH, or on a server that was restarted, handing over works as before."""
    for _ in range(2):
        await place.redis.script_flush()
        await place.forward.forward(routed_entries(await place.deliver(FIRST), "valuation"))
    assert len(await place.jobs("valuation")) == 2
