"""What the exporter finds on real servers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    BullJobs,
    Streams,
    evaluated,
    running,
    until,
)
from support.metrics import Scraped
from support.ordered_queue import QUEUE
from support.worked_queue import WorkedQueue
from support.working import Valuation, job_of, jobs_of

from domainstream.errors import ServerUnavailableError
from domainstream.queue import JobSettings
from domainstream.queue.bullmq.scripts import now_ms
from domainstream.redis.nodes import RedisNodes
from domainstream.stream.inspection.groups import RedisGroupInspection
from domainstream.stream.inspection.streams import RedisStreamInspection
from domainstream.tools.metrics.redis_source import RedisSource

Collect = Callable[[], Awaitable[Scraped]]


@pytest.fixture
def bull(stream_prefix: str) -> str:
    """What begins every key of BullMQ in this test."""
    return f"{stream_prefix}bull"


@pytest.fixture
def streams(redis: Redis, stream_prefix: str) -> Streams:
    """The streams of this test."""
    return Streams(redis, stream_prefix)


@pytest.fixture
def valuation(redis_url: str, redis: Redis, bull: str) -> Valuation:
    """The queue `valuation` of this test."""
    return Valuation(redis_url, bull, BullJobs(redis, bull, "valuation"))


def as_any(redis: Redis) -> Any:
    """Return the client without its types, which not all commands have."""
    return redis


def source_at(url: str, prefix: str, bull: str) -> RedisSource:
    """Return a source of what is below these prefixes."""
    return RedisSource(RedisNodes.open(url), prefix=prefix, bull_prefix=bull)


@pytest.fixture
async def collect(redis_url: str, stream_prefix: str, bull: str) -> AsyncIterator[Collect]:
    """A function that collects what is below the prefixes of this test."""
    source = source_at(redis_url, stream_prefix, bull)

    async def collected() -> Scraped:
        await source.search()
        return Scraped.of(await source.collect())

    yield collected
    await source.close()


async def test_unread_event_has_an_age(collect: Collect, streams: Streams) -> None:
    """The oldest event that a group has not read counts, in seconds; one that is all read has the age 0."""
    await streams.redis.xadd(streams.key(EVALUATED), {"data": b"{}"}, id="1-1")
    await streams.add(evaluated())
    await streams.redis.xgroup_create(streams.key(EVALUATED), GROUP, "0")
    await streams.redis.xgroup_create(streams.key(EVALUATED), "up-to-date", "$")
    scraped = await collect()
    ages = {
        group: scraped.value("domainstream_oldest_event_age_seconds", channel=str(EVALUATED), group=group)
        for group in (GROUP, "up-to-date")
    }
    assert ages["up-to-date"] == 0
    assert (ages[GROUP] or 0) > 1_000_000_000
    key = {"db": "db0", "stream": streams.key(EVALUATED)}
    assert scraped.value("redis_stream_length", **key) == 2
    assert scraped.value("redis_stream_groups", **key) == 2
    assert scraped.value("redis_stream_group_lag", group=GROUP, **key) == 2


async def test_pending_event_has_an_age(collect: Collect, streams: Streams) -> None:
    """An event that was read and not acknowledged is not handled yet."""
    await streams.redis.xadd(streams.key(EVALUATED), {"data": b"{}"}, id="1-1")
    await streams.redis.xgroup_create(streams.key(EVALUATED), GROUP, "0")
    await streams.redis.xreadgroup(GROUP, "one", {streams.key(EVALUATED): ">"})
    scraped = await collect()
    key = {"db": "db0", "stream": streams.key(EVALUATED), "group": GROUP}
    assert (
        scraped.value("redis_stream_group_lag", **key),
        scraped.value("redis_stream_group_messages_pending", **key),
    ) == (
        0,
        1,
    )
    age = scraped.value("domainstream_oldest_event_age_seconds", channel=str(EVALUATED), group=GROUP)
    assert (age or 0) > 1_000_000_000


async def test_event_that_no_group_reads_has_an_age(collect: Collect, streams: Streams) -> None:
    """A channel whose subscriber was never started is not forgotten."""
    await streams.redis.xadd(streams.key(CALCULATED), {"data": b"{}"}, id="1-1")
    age = (await collect()).value("domainstream_oldest_event_age_seconds", channel=str(CALCULATED), group="")
    assert (age or 0) > 1_000_000_000


async def test_losses_and_dead_letters_are_counted(collect: Collect, streams: Streams) -> None:
    """Entries that were trimmed before a group read them, and dead letters that are kept."""
    await streams.add(evaluated())
    await streams.redis.xgroup_create(streams.key(EVALUATED), GROUP, "0")
    await streams.redis.xreadgroup(GROUP, "one", {streams.key(EVALUATED): ">"})
    for _ in range(3):
        await streams.add(evaluated())
    await streams.redis.xtrim(streams.key(EVALUATED), maxlen=1, approximate=False)
    await streams.redis.xadd(f"{streams.key(CALCULATED)}:dead", {"error": "HostileJsonError"})
    scraped = await collect()
    assert scraped.value("domainstream_lost_entries", channel=str(EVALUATED), group=GROUP) == 2
    assert scraped.value("domainstream_dead_letters", channel=str(EVALUATED)) == 0
    assert scraped.value("domainstream_dead_letters", channel=str(CALCULATED)) == 1


async def test_many_streams_say_what_each_alone_says(
    redis: Redis, streams: Streams, stream_prefix: str, collect: Collect
) -> None:
    """What is read in few round trips is what `groups` shows for one channel after the other."""
    for number in range(300):
        name = f"domain_coding_case_{number}"
        await streams.add_data(name, data=b"{}")
        await redis.xgroup_create(streams.key(name), GROUP, "0" if number % 2 else "$")
    inspection, groups = (
        RedisStreamInspection(redis, prefix=stream_prefix),
        RedisGroupInspection(redis, prefix=stream_prefix),
    )
    channels = await inspection.channels()
    together = await groups.groups_of(await inspection.streams(channels))
    alone = [state for channel in channels for state in await groups.groups(channel)]
    assert [(state.channel, state.unread) for state in together] == [(state.channel, state.unread) for state in alone]
    assert len(together) == 300


async def test_collection_costs_five_commands_a_channel_and_sixteen_a_queue(
    collect: Collect, redis: Redis, streams: Streams, bull: str
) -> None:
    """The cost that run-in-production.md states, apart from what scripts call and a search for what is new."""
    for number in range(20):
        name = f"domain_coding_case_{number}"
        await streams.add_data(name, data=b"{}")
        await redis.xgroup_create(streams.key(name), GROUP, "0")
        await redis.set(f"{bull}:queue-{number}:id", 1)
    of_channels = ("xinfo|stream", "xinfo|groups", "xpending", "xrange", "xlen")
    of_queues = {"eval": 1, "hexists": 1, "get": 2, "llen": 4, "zcard": 7}

    async def calls() -> dict[str, int]:
        stats: Any = await redis.info("commandstats")
        counts = {name.removeprefix("cmdstat_"): values["calls"] for name, values in stats.items()}
        return {name: counts.get(name, 0) for name in (*of_channels, *of_queues)}

    before = await calls()
    await collect()
    spent = {name: count - before[name] for name, count in (await calls()).items()}
    assert {name: spent[name] for name in of_channels} == dict.fromkeys(of_channels, 20)
    # The sixteenth is a `zrange` for the first failed job; the script that looks for the oldest job calls that as well.
    assert {name: spent[name] for name in of_queues} == {name: 20 * each for name, each in of_queues.items()}


async def test_lag_that_the_server_does_not_know_is_counted_up_to_a_limit(
    redis: Redis, streams: Streams, stream_prefix: str
) -> None:
    """A group that was set to an id in the middle costs a bounded count, not one of the whole stream."""
    async with redis.pipeline() as pipe:
        for number in range(1, 3001):
            pipe.xadd(streams.key(EVALUATED), {"data": b"{}"}, id=f"{number}-1")
        pipe.xgroup_create(streams.key(EVALUATED), GROUP, "5-1")
        pipe.xdel(streams.key(EVALUATED), "1000-1")
        await pipe.execute()
    groups = RedisGroupInspection(redis, prefix=stream_prefix)
    of_streams = await RedisStreamInspection(redis, prefix=stream_prefix).streams([str(EVALUATED)])
    (all_of_them,), (some,) = await groups.groups_of(of_streams), await groups.groups_of(of_streams, count_at_most=1000)
    assert (all_of_them.unread, some.unread) == (2994, 1000)


async def test_jobs_are_counted_by_the_states_of_bullmq(collect: Collect, valuation: Valuation, redis: Redis) -> None:
    """The states are BullMQ's words; the jobs of a paused queue are paused."""
    await valuation.add(*jobs_of(3), job_of(job_id="later", settings=JobSettings(delay=timedelta(hours=1))))
    counts = {
        state: (await collect()).value("bullmq_job_count", queue="valuation", state=state)
        for state in (
            "waiting",
            "delayed",
            "active",
            "failed",
            "completed",
            "prioritized",
            "waiting-children",
            "paused",
        )
    }
    assert {state for state, count in counts.items() if count} == {"waiting", "delayed"}
    assert counts["waiting"] == 3
    await redis.hset(f"{valuation.jobs.key}:meta", "paused", "1")
    scraped = await collect()
    assert scraped.value("bullmq_job_count", queue="valuation", state="waiting") == 0
    assert scraped.value("bullmq_job_count", queue="valuation", state="paused") == 3
    assert scraped.value("domainstream_queue_paused", queue="valuation") == 1


@pytest.mark.parametrize("kind", ["waiting", "delayed"])
async def test_oldest_job_that_is_not_done_has_an_age(
    collect: Collect, valuation: Valuation, redis: Redis, kind: str
) -> None:
    """The age is that of the job that was added first, whatever its state and wherever it stands in it."""
    settings = JobSettings(delay=timedelta(hours=1) if kind == "delayed" else timedelta(0))
    await valuation.add(*jobs_of(5, settings))
    before = (await collect()).value("domainstream_oldest_job_age_seconds", queue="valuation")
    assert before is not None
    assert before < 600
    await redis.hset(f"{valuation.jobs.key}:event-3", "timestamp", "1000")
    age = (await collect()).value("domainstream_oldest_job_age_seconds", queue="valuation")
    assert (age or 0) > 1_000_000_000


async def test_job_that_is_tried_again_has_not_waited_since_it_was_added(
    collect: Collect, valuation: Valuation, redis: Redis
) -> None:
    """What waits for a worker counts from its last attempt: an hour of retries is not an hour without workers."""
    await valuation.add(*jobs_of(2))
    await redis.hset(f"{valuation.jobs.key}:event-0", mapping={"timestamp": "1000", "processedOn": str(now_ms())})
    scraped = await collect()
    assert (scraped.value("domainstream_oldest_job_age_seconds", queue="valuation") or 0) > 1_000_000_000
    assert (scraped.value("domainstream_oldest_waiting_job_age_seconds", queue="valuation") or 0) < 600


async def test_delayed_job_does_not_wait_for_a_worker(collect: Collect, valuation: Valuation, redis: Redis) -> None:
    """Scaling out would not help a job that may not begin yet."""
    await valuation.add(*jobs_of(1, JobSettings(delay=timedelta(hours=1))))
    await redis.hset(f"{valuation.jobs.key}:event-0", "timestamp", "1000")
    scraped = await collect()
    assert (scraped.value("domainstream_oldest_job_age_seconds", queue="valuation") or 0) > 1_000_000_000
    assert scraped.value("domainstream_oldest_waiting_job_age_seconds", queue="valuation") == 0


async def test_done_jobs_have_no_age(collect: Collect, valuation: Valuation) -> None:
    """Jobs that are completed or failed are done; without any other the age is 0."""

    async def handle(*_: Any) -> None:
        """Do nothing."""

    await valuation.add(job_of())
    async with running(valuation.worker(handle)):
        await valuation.ended("completed")
    assert (await collect()).value("domainstream_oldest_job_age_seconds", queue="valuation") == 0


async def test_job_whose_id_is_another_key_is_passed_over(collect: Collect, valuation: Valuation, redis: Redis) -> None:
    """Any program may add to the lists of a queue; that must not cost the metrics of all."""
    await valuation.add(job_of())
    await redis.lpush(f"{valuation.jobs.key}:wait", "wait", "gone")
    assert (await collect()).value("bullmq_job_count", queue="valuation", state="waiting") == 3


async def test_connected_workers_are_counted(collect: Collect, valuation: Valuation) -> None:
    """A worker is seen while it runs, and a queue without one is seen to have none."""

    async def handle(*_: Any) -> None:
        """Do nothing."""

    await valuation.add(job_of())
    assert (await collect()).value("domainstream_queue_workers", queue="valuation") == 0

    async def is_seen() -> bool:
        return (await collect()).value("domainstream_queue_workers", queue="valuation") == 1

    async with running(valuation.worker(handle)):
        assert await until(is_seen)


async def test_held_keys_are_counted(collect: Collect, redis_url: str, redis: Redis, bull: str) -> None:
    """How many keys failed jobs hold, for how long, and how many jobs wait behind them; no key is a label."""
    queue = WorkedQueue(redis_url, redis, bull)
    await queue.hold("stay-1", "a1", "a2", "a3")
    await queue.hold("stay-2", "b1")
    scraped = await collect()
    assert scraped.value("domainstream_held_keys", queue=QUEUE) == 2
    assert scraped.value("domainstream_jobs_behind_held_keys", queue=QUEUE) == 2
    assert scraped.value("domainstream_jobs_waiting_in_order", queue=QUEUE) == 2
    assert scraped.value("domainstream_mailbox_jobs", queue=QUEUE) == 0
    age = scraped.value("domainstream_oldest_held_key_age_seconds", queue=QUEUE)
    assert age is not None
    assert 0 <= age < 600
    assert not {"stay-1", "stay-2", "a1", "b1"} & scraped.labels()


async def test_labels_are_names_and_states(
    collect: Collect, streams: Streams, valuation: Valuation, stream_prefix: str
) -> None:
    """No id of an entry, an event or a job, and nothing of a payload is in any label."""
    event = evaluated()
    await streams.add(event)
    await streams.redis.xgroup_create(streams.key(EVALUATED), GROUP, "0")
    await streams.redis.xreadgroup(GROUP, "host-1 (abc)", {streams.key(EVALUATED): ">"})
    await valuation.add(job_of(event))
    states = {"waiting", "delayed", "active", "failed", "completed", "prioritized", "waiting-children", "paused"}
    names = {"db0", str(EVALUATED), f"{stream_prefix}{EVALUATED}", GROUP, "valuation", *states}
    assert (await collect()).labels() == names


async def test_user_who_may_only_read_is_enough(redis: Redis, redis_url: str, stream_prefix: str, bull: str) -> None:
    """The rights that docs/how-to/run-in-production.md gives the exporter suffice, and it changes nothing."""
    await redis.xadd(f"{stream_prefix}{EVALUATED}", {"data": b"{}"})
    queue = WorkedQueue(redis_url, redis, bull)
    await queue.hold("stay-1", "a1", "a2")
    user = f"{stream_prefix.strip(':')}-exporter"
    rights = [
        "~*",
        "-@all",
        "+@read",
        "+eval",
        "+evalsha",
        "+time",
        "+client|list",
        "+client|setname",
    ]
    await as_any(redis).execute_command("ACL", "SETUSER", user, "reset", "on", ">secret", *rights)
    source = source_at(redis_url.replace("redis://", f"redis://{user}:secret@"), stream_prefix, bull)
    try:
        await source.search()
        scraped = Scraped.of(await source.collect())
    finally:
        await source.close()
        await redis.acl_deluser(user)
    assert scraped.value("domainstream_held_keys", queue=QUEUE) == 1
    assert scraped.value("domainstream_queue_workers", queue=QUEUE) == 0


async def test_user_who_may_not_list_connections_gets_the_rest(
    redis: Redis, redis_url: str, stream_prefix: str, bull: str, valuation: Valuation
) -> None:
    """Without CLIENT LIST nothing is said of workers, which is not the same as none."""
    await valuation.add(job_of())
    user = f"{stream_prefix.strip(':')}-exporter"
    await as_any(redis).execute_command("ACL", "SETUSER", user, "reset", "on", ">secret", "~*", "+@all", "-client|list")
    source = source_at(redis_url.replace("redis://", f"redis://{user}:secret@"), stream_prefix, bull)
    try:
        await source.search()
        scraped = Scraped.of(await source.collect())
    finally:
        await source.close()
        await redis.acl_deluser(user)
    assert scraped.value("domainstream_queue_workers", queue="valuation") is None
    assert scraped.value("bullmq_job_count", queue="valuation", state="waiting") == 1


async def test_server_that_does_not_answer_is_an_error(stream_prefix: str, bull: str) -> None:
    """The exporter learns that it has no metrics, and why."""
    source = source_at("redis://127.0.0.1:1", stream_prefix, bull)
    with pytest.raises(ServerUnavailableError):
        await source.search()
    with pytest.raises(ServerUnavailableError):
        await source.collect()
    await source.close()


async def test_cluster_is_looked_at_as_a_whole(cluster_url: str, stream_prefix: str, bull: str) -> None:
    """Streams, dead letters and queues of a cluster are found on the nodes that have them."""
    nodes = RedisNodes.open(cluster_url)
    key = f"{stream_prefix}{EVALUATED}"
    for command in (
        ("XADD", key, "1-1", "data", "{}"),
        ("XADD", f"{{{key}}}:dead", "*", "error", "HostileJsonError"),
        ("HSET", f"{bull}:{{valuation}}:meta", "opts.maxLenEvents", "1"),
        ("LPUSH", f"{bull}:{{valuation}}:wait", "event-1"),
        ("HSET", f"{bull}:{{valuation}}:event-1", "timestamp", "1000"),
    ):
        await nodes.run(command[1], lambda redis, words=command: redis.execute_command(*words))  # type: ignore[misc]
    source = RedisSource(nodes, prefix=stream_prefix, bull_prefix=bull)
    await source.search()
    scraped = Scraped.of(await source.collect())
    await source.close()
    age = scraped.value("domainstream_oldest_event_age_seconds", channel=str(EVALUATED), group="")
    assert (age or 0) > 1_000_000_000
    assert scraped.value("domainstream_dead_letters", channel=str(EVALUATED)) == 1
    assert (scraped.value("domainstream_oldest_job_age_seconds", queue="{valuation}") or 0) > 1_000_000_000
