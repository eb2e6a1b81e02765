"""The commands on a cluster of three nodes, whose channels and queues lie on different ones."""

import asyncio
import json
import re
import shlex
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from integration.cli.conftest import Start, Type, records
from integration.cli.test_doctor_partitions import CHANNEL as SPREAD
from integration.cli.test_doctor_partitions import bad, publish
from integration.cli.test_run import get
from integration.cli.test_streams import following
from integration.publisher.test_cluster import move
from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    BullJobs,
    OptimizationEvaluated,
    Streams,
    calculated,
    evaluated,
    running,
)
from support.metrics import Scraped
from support.worked_queue import WorkedQueue
from support.working import Valuation, job_of

from domainstream import EventProducer, Outcome, RedisStreamPublisherClient
from domainstream.queue import job_id
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import TopologyKind
from domainstream.stream.inspection.commands import needed_by
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import wait_until
from domainstream.tools.metrics.redis_source import RedisSource
from domainstream.tools.metrics.source import PartlyCollectedError
from domainstream.worker import EventContext, GiveUp

pytestmark = pytest.mark.xdist_group("cluster")

QUEUE = "{valuation}"
"""BullMQ's name of the queue `valuation`."""


@pytest.fixture
def redis_url(cluster: ClusterLab) -> str:
    """The URL that the commands get."""
    return cluster.url


@pytest.fixture
async def redis(cluster: ClusterLab) -> AsyncIterator[Any]:
    """A plain client of the cluster."""
    async with RedisCluster(startup_nodes=[ClusterNode(*node.address) for node in cluster.nodes]) as client:
        yield client


@pytest.fixture
def stream_prefix(cluster: ClusterLab) -> str:
    """A prefix with which the two channels and the queue lie on three nodes."""
    while True:
        prefix = f"test-{uuid4().hex[:12]}:"
        keys = [f"{prefix}{EVALUATED}", f"{prefix}{CALCULATED}", QUEUE]
        if len({cluster.primary_of(key).address for key in keys}) == 3:
            return prefix


@pytest.fixture
def streams(redis: Any, stream_prefix: str) -> Streams:
    """The streams of this test."""
    return Streams(redis, stream_prefix)


@pytest.fixture
def valuation(redis_url: str, redis: Any, bull: str) -> Valuation:
    """The queue `valuation` of this test."""
    return Valuation(redis_url, bull, BullJobs(redis, bull, QUEUE))


def dead_key(streams: Streams) -> str:
    """Return the key of the dead letters of the evaluated channel."""
    return f"{{{streams.key(EVALUATED)}}}:dead"


async def store(streams: Streams, data: bytes) -> None:
    """Store a dead letter of the evaluated channel as subscribers do."""
    fields: dict[Any, Any] = {"error": "HostileJsonError", "reason": "not JSON", "channel": str(EVALUATED)}
    fields |= {"group": GROUP, "entry_id": "1700000000000-0", "data": data}
    await streams.redis.xadd(dead_key(streams), fields)


async def test_channels_of_all_nodes_are_listed(typed: Type, streams: Streams) -> None:
    """`streams ls` finds channels wherever they lie, and `info` and `tail` read one where it lies."""
    await streams.add(evaluated())
    entry_id = await streams.add(calculated())
    assert [one["channel"] for one in records(await typed("streams", "ls", "--json"))] == [EVALUATED, CALCULATED]
    (info,) = records(await typed("streams", "info", CALCULATED, "--json"))
    assert info["stream"]["last_id"] == entry_id
    (entry,) = records(await typed("streams", "tail", CALCULATED, "--json"))
    assert entry["entry_id"] == entry_id


async def test_entries_are_followed_to_another_node(streams: Streams, redis_url: str, cluster: ClusterLab) -> None:
    """`tail -f` goes on showing entries after the channel's slot has moved."""
    words = ["streams", "tail", EVALUATED, "-f", "--json", "--redis-url", redis_url, "--prefix", streams.prefix]
    lines = following(*words)
    entry_ids = [await streams.add(evaluated())]
    shown = [json.loads(await asyncio.to_thread(next, lines))["entry_id"]]
    await move(cluster, streams.key(EVALUATED))
    entry_ids.append(await streams.add(evaluated()))
    shown.append(json.loads(await asyncio.to_thread(next, lines))["entry_id"])
    await asyncio.to_thread(list, lines)
    assert shown == entry_ids


async def test_event_goes_through_a_subscriber_and_a_worker(
    start: Start, streams: Streams, valuation: Valuation
) -> None:
    """`run subscriber` and `run worker` take the URL of a cluster, and are ready while all primaries answer."""
    options = ("--bull-prefix", valuation.prefix, "--health-port", "0")
    programs = [
        await start("subscriber", "run_targets:subscriptions", *options),
        await start("worker", "run_targets:consumer", *options),
    ]
    urls = [(await one.says("run.health")).rpartition("url=")[2].partition(" ")[0] for one in programs]
    await streams.add(evaluated())
    await programs[1].prints("handled")
    for program, url in zip(programs, urls, strict=True):
        status, answer = await get(url)
        assert (status, answer["status"]) == (200, "ok")
        program.process.send_signal(signal.SIGTERM)
        assert await program.ends() == 0


async def test_lag_of_channels_on_all_nodes(typed: Type, streams: Streams, redis: Any) -> None:
    """`groups`, `lag` and `pending` say what each group has left, also for consumers of other channels."""
    for event in (evaluated(), calculated()):
        await streams.add(event)
    for channel in (EVALUATED, CALCULATED):
        await redis.xgroup_create(streams.key(channel), GROUP, id="0")
    await redis.xreadgroup(GROUP, "one", {streams.key(CALCULATED): ">"})
    lags = {one["channel"]: (one["unread"], one["pending"]) for one in records(await typed("lag", "--json"))}
    assert lags == {EVALUATED: (1, 0), CALCULATED: (0, 1)}
    assert [one["channel"] for one in records(await typed("pending", "--json"))] == [CALCULATED]
    assert [one["consumer"] for one in records(await typed("groups", "ls", "--consumers", "--json"))] == ["one"]
    assert len(records(await typed("groups", "--json"))) == 2


async def test_queue_is_found_by_either_name(typed: Type, valuation: Valuation) -> None:
    """`queues` shows BullMQ's name, which has braces, and takes the name that the code has, too."""
    await valuation.add(job_of())
    for words in ([], ["valuation"], [QUEUE]):
        (state,) = records(await typed("queues", *words, "--json", "--bull-prefix", valuation.prefix))
        assert state["queue"] == QUEUE
        assert state["waiting"] == 1
    result = await typed("queues", "valuations", "--bull-prefix", valuation.prefix)
    assert result.exit_code == 4
    assert f"Did you mean {QUEUE}?" in result.stderr


async def test_failed_jobs_are_retried_and_removed(typed: Type, valuation: Valuation) -> None:
    """`jobs ls`, `show`, `retry` and `rm` work on the node of the queue."""

    async def handle(_event: OptimizationEvaluated, _context: EventContext) -> None:
        raise GiveUp("no tariff")

    await valuation.add(job_of(), job_of(job_id="event-2"))
    async with running(valuation.worker(handle)):
        await valuation.ended("failed", 2)
    prefixed = ("--bull-prefix", valuation.prefix)
    (cause,) = records(await typed("jobs", "ls", "valuation", "--json", *prefixed))
    assert cause["jobs"] == 2
    (job,) = records(await typed("jobs", "show", "valuation", "event-1", "--json", *prefixed))
    assert job["state"] == "failed"
    (retried,) = records(await typed("jobs", "retry", "valuation", "event-1", "--yes", "--json", *prefixed))
    assert retried["changed"] == 1
    assert await valuation.jobs.ids() == ["event-1"]
    (removed,) = records(await typed("jobs", "rm", QUEUE, "--all", "--yes", "--json", *prefixed))
    assert removed["changed"] == 1
    assert await valuation.jobs.ids("failed") == []


async def test_unhandled_jobs_are_counted(typed: Type, valuation: Valuation) -> None:
    """Jobs that wait for a build that handles them are found in the queue's node."""
    await valuation.wait_for("HandlerNotFoundError: nobody handles it", job_id="event-1")
    (state,) = records(await typed("queues", "--json", "--bull-prefix", valuation.prefix))
    assert state["unhandled"] == 1


async def test_dead_letters_lie_beside_their_stream(typed: Type, streams: Streams, cluster: ClusterLab) -> None:
    """Dead letters are in the slot of their stream: they are listed, shown, and put back in one step."""
    assert cluster.slot_of(dead_key(streams)) == cluster.slot_of(streams.key(EVALUATED))
    await store(streams, b"1")
    (counted,) = records(await typed("dead-letters", "ls", "--json"))
    assert counted["letters"] == 1
    (letter,) = records(await typed("dead-letters", "ls", EVALUATED, "--json"))
    (shown,) = records(await typed("dead-letters", "show", EVALUATED, letter["letter_id"], "--json"))
    assert shown["data"] == 1
    (redriven,) = records(await typed("dead-letters", "redrive", EVALUATED, "--all", "--yes", "--json"))
    assert len(redriven["entry_ids"]) == 1
    assert await streams.redis.xlen(streams.key(EVALUATED)) == 1


async def test_dead_letters_are_purged(typed: Type, streams: Streams) -> None:
    """`dead-letters purge` deletes at the node of the channel."""
    await store(streams, b"1")
    (purged,) = records(await typed("dead-letters", "purge", EVALUATED, "--all", "--yes", "--json"))
    assert purged["purged"] == 1
    assert "There are no dead letters" in (await typed("dead-letters", "ls")).stderr


async def test_trace_follows_a_transaction_over_all_nodes(typed: Type, streams: Streams, valuation: Valuation) -> None:
    """The timeline has the events of all channels and the jobs of all queues."""
    first = evaluated()
    second = calculated()
    second = type(second)(
        aggregate_id="price-1", payload=second.payload, correlation_id=first.id, causation_id=first.id
    )
    for event in (first, second):
        await streams.add(event)
    await valuation.add(job_of(first))
    words = ("trace", first.id, "--json", "--bull-prefix", valuation.prefix)
    timeline = records(await typed(*words))
    assert {(one.get("channel"), one.get("queue")) for one in timeline} == {
        (EVALUATED, None),
        (CALCULATED, None),
        (None, QUEUE),
    }


async def test_events_are_replayed_to_the_node_of_a_queue(typed: Type, streams: Streams, valuation: Valuation) -> None:
    """`replay` reads at one node and adds at another, once."""
    events = [evaluated() for _ in range(3)]
    for event in events:
        await streams.add(event)
    words = ("replay", EVALUATED, "--since", "1h", "--to", "valuation", "--job", "price-stay", "--yes", "--json")
    (first,) = records(await typed(*words, "--bull-prefix", valuation.prefix))
    (second,) = records(await typed(*words, "--bull-prefix", valuation.prefix))
    assert (first["added"], second["added"], second["known"]) == (3, 0, 3)
    assert await valuation.jobs.ids() == [job_id(event.id) for event in events]


async def test_events_are_replayed_in_order(
    typed: Type, streams: Streams, valuation: Valuation, redis: Any, redis_url: str
) -> None:
    """`replay --order-by` adds at the node of the queue: all but the first job of the key wait."""
    await WorkedQueue(redis_url, redis, valuation.prefix).tend()
    events = [evaluated() for _ in range(3)]
    for event in events:
        await streams.add(event)
    words = ("replay", EVALUATED, "--since", "1h", "--to", "valuation", "--job", "price-stay", "--yes", "--json")
    (outcome,) = records(await typed(*words, "--order-by", "aggregate", "--bull-prefix", valuation.prefix))
    assert outcome["added"] == 3
    assert await valuation.jobs.ids("prioritized") == [job_id(events[0].id)]
    assert len(await valuation.jobs.ids("waiting-children")) == 2


async def test_group_is_removed(typed: Type, streams: Streams, redis: Any) -> None:
    """`groups rm` removes a group at the node of its channel."""
    await streams.add(evaluated())
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    (removed,) = records(await typed("groups", "rm", EVALUATED, GROUP, "--yes", "--json"))
    assert removed["unread"] == 1
    assert await redis.xinfo_groups(streams.key(EVALUATED)) == []


async def test_place_of_a_cluster_is_said(typed: Type, cluster: ClusterLab) -> None:
    """Messages name the nodes of the URL, and no database."""
    result = await typed("streams", "ls")
    addresses = ", ".join(str(node.address) for node in cluster.nodes)
    assert f"There are no streams at {addresses} below the prefix" in result.stderr


async def test_node_that_does_not_answer_is_named(typed: Type) -> None:
    """A cluster of which no node answers ends a command with the reason."""
    result = await typed("streams", "ls", "--redis-url", "redis+cluster://127.0.0.1:1")
    assert result.exit_code == 3
    assert "no connection to the server at 127.0.0.1:1" in result.stderr


Users = Callable[..., str]


@pytest.fixture
def user_url(cluster: ClusterLab, stream_prefix: str) -> Iterator[Users]:
    """A function that creates a user with these permissions, on each node, and returns the URL of that user."""
    name = stream_prefix.strip(":")

    def make(*permissions: str) -> str:
        for node in cluster.nodes:
            node.command("ACL", "SETUSER", name, "on", ">a-secret", "-@all", "+ping", *permissions)
        return cluster.url.replace("://", f"://{name}:a-secret@")

    yield make
    for node in cluster.nodes:
        node.command("ACL", "DELUSER", name)


def found_by(result: Result, check: str) -> list[dict[str, Any]]:
    """Return the findings of one check."""
    return [one for line in result.stdout.splitlines() if (one := json.loads(line))["check"] == check]


async def test_doctor_looks_at_every_node(typed: Type, streams: Streams, cluster: ClusterLab) -> None:
    """What one node has is a finding of that node, with a command for it; what all have is found once."""
    await streams.add(evaluated())
    odd = cluster.primary_of(streams.key(CALCULATED))
    odd.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        result = await typed("doctor", "--json")
    finally:
        odd.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    (problem,) = [one for one in found_by(result, "eviction") if one["status"] == "problem"]
    host, port = odd.address
    assert problem["node"] == str(odd.address)
    assert problem["mend"] == f"redis-cli -h {host} -p {port} CONFIG SET maxmemory-policy noeviction"
    assert len(found_by(result, "memory")) == 3
    (persistence,) = found_by(result, "persistence")
    assert "node" not in persistence
    assert persistence["mend"].startswith("redis-cli --cluster call 127.0.0.1:")
    assert [one["status"] for one in found_by(result, "clock")] == ["ok"]
    assert found_by(result, "permissions")[0]["status"] == "ok"
    (replication,) = found_by(result, "replication")
    assert "no replica is connected" in replication["words"]
    assert found_by(result, "failover") == []
    unread = {one.get("node"): one["words"] for one in found_by(result, "unread")}
    assert EVALUATED in unread[str(cluster.primary_of(streams.key(EVALUATED)).address)]


async def test_doctor_warns_of_a_late_failover(typed: Type, cluster: ClusterLab) -> None:
    """A node timeout that is longer than publishers wait is a warning."""
    for node in cluster.nodes:
        node.command("CONFIG", "SET", "cluster-node-timeout", 15_000)
    try:
        (found,) = found_by(await typed("doctor", "--json"), "failover")
    finally:
        for node in cluster.nodes:
            node.command("CONFIG", "SET", "cluster-node-timeout", 2_000)
    assert "replaced after 15 s" in found["words"]
    assert found["mend"].endswith("CONFIG SET cluster-node-timeout 5000")


async def test_doctor_on_one_node_of_a_cluster(typed: Type, cluster: ClusterLab) -> None:
    """With the URL of a single node, the doctor says which URL the cluster has."""
    result = await typed("doctor", "--json", "--redis-url", cluster.nodes[0].url)
    (found,) = found_by(result, "server")
    assert found["status"] == "problem"
    assert "redis+cluster://" in found["mend"]


async def test_cluster_of_which_a_node_is_dead(
    typed: Type, streams: Streams, valuation: Valuation, cluster: ClusterLab
) -> None:
    """What lies on the other nodes can be looked at, a search names the dead one, and the doctor says so, too."""
    await streams.add(evaluated())
    await valuation.add(job_of())
    dead = cluster.primary_of(streams.key(CALCULATED))
    for node in cluster.nodes:
        node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
    dead.kill()
    try:
        (queue,) = records(await typed("queues", "valuation", "--json", "--bull-prefix", valuation.prefix))
        (info,) = records(await typed("streams", "info", EVALUATED, "--json"))
        listed, found = await typed("streams", "ls"), await typed("doctor", "--json")
    finally:
        dead.start()
        for node in cluster.nodes:
            node.command("CONFIG", "SET", "cluster-require-full-coverage", "yes")
        cluster.wait_ok()
    assert (queue["waiting"], info["stream"]["length"]) == (1, 1)
    assert listed.exit_code == 3
    assert f"the server at {dead.address} does not answer" in listed.stderr
    (server,) = [one for one in found_by(found, "server") if one["status"] == "problem"]
    assert server["node"] == str(dead.address)
    assert f"could not be read: the server at {dead.address}" in found_by(found, "streams")[0]["words"]
    assert [one["status"] for one in found_by(found, "clock")] == ["ok"]


async def test_metrics_of_a_cluster_of_which_a_node_is_dead(
    streams: Streams, valuation: Valuation, cluster: ClusterLab, redis_url: str, stream_prefix: str, bull: str
) -> None:
    """Channels and queues of the other nodes have their metrics, and why some are missing is known."""
    await streams.add(evaluated())
    await streams.add(calculated())
    await valuation.add(job_of())
    source = RedisSource(RedisNodes.open(redis_url), prefix=stream_prefix, bull_prefix=bull)
    await source.search()
    everything = Scraped.of(await source.collect())
    dead = cluster.primary_of(streams.key(CALCULATED))
    for node in cluster.nodes:
        node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
    dead.kill()
    try:
        with pytest.raises(PartlyCollectedError, match=f"the server at {dead.address} does not answer") as caught:
            await source.collect()
    finally:
        await source.close()
        dead.start()
        for node in cluster.nodes:
            node.command("CONFIG", "SET", "cluster-require-full-coverage", "yes")
        cluster.wait_ok()
    partly = Scraped.of(caught.value.samples)
    assert everything.value("domainstream_oldest_event_age_seconds", channel=str(CALCULATED), group="") is not None
    assert partly.value("domainstream_oldest_event_age_seconds", channel=str(CALCULATED), group="") is None
    assert partly.value("domainstream_oldest_event_age_seconds", channel=str(EVALUATED), group="") is not None
    assert partly.value("bullmq_job_count", queue=QUEUE, state="waiting") == 1


async def test_user_that_one_node_limits(typed: Type, cluster: ClusterLab, stream_prefix: str, user_url: Users) -> None:
    """Users belong to nodes: a permission that is missing at one node is found, and so are those of clusters."""
    wanted = [f"+{name}" for name in needed_by("publisher", kind=TopologyKind.CLUSTER)]
    words = ("doctor", "--json", "--role", "publisher", "--redis-url", user_url(f"~*{stream_prefix}*", *wanted))
    assert [one["status"] for one in found_by(await typed(*words), "permissions")] == ["ok"]
    cluster.nodes[1].command("ACL", "SETUSER", stream_prefix.strip(":"), "-asking", "-xadd")
    (found,) = found_by(await typed(*words), "permissions")
    assert "may not call xadd, asking, which the role publisher needs" in found["words"]


async def test_publisher_with_what_the_doctor_asks_for(
    cluster: ClusterLab, stream_prefix: str, user_url: Users
) -> None:
    """A user with only the permissions of the list publishes to all nodes, also while a slot moves key by key."""
    wanted = needed_by("publisher", kind=TopologyKind.CLUSTER)
    url, key = user_url(f"~*{stream_prefix}*", *(f"+{name}" for name in wanted)), f"{stream_prefix}{EVALUATED}"
    async with RedisStreamPublisherClient.from_url(url, prefix=stream_prefix) as client:
        producer: EventProducer[Any] = EventProducer(client, channel_for=lambda _: EVALUATED, source="coding")
        assert (await producer.publish(evaluated())).outcome is Outcome.PUBLISHED
        moving = asyncio.create_task(move(cluster, key, atomic=False, pause=timedelta(milliseconds=50)))
        while not moving.done():
            assert (await producer.publish(evaluated())).outcome is Outcome.PUBLISHED
        await moving


async def test_operator_with_what_the_doctor_asks_for(
    typed: Type, streams: Streams, user_url: Users, valuation: Valuation
) -> None:
    """A user with only the permissions of the list can run every command on a cluster."""
    bull, event = valuation.prefix, evaluated()
    wanted = needed_by("operator", kind=TopologyKind.CLUSTER)
    url = user_url(f"~*{streams.prefix}*", *(f"+{name}" for name in wanted))
    await store(streams, b"1")
    await streams.add(event)

    async def give_up(_event: OptimizationEvaluated, _context: EventContext) -> None:
        raise GiveUp("no such tariff")

    await valuation.add(job_of(event, job_id=job_id(event.id)), job_of(job_id="event-2"))
    async with running(valuation.worker(give_up)):
        await valuation.ended("failed", 2)
    for line in (
        *("streams ls", f"streams info {EVALUATED}", f"streams tail {EVALUATED}", "groups", "groups --consumers"),
        *("lag", "pending", f"queues --bull-prefix {bull}", f"trace {event.id} --bull-prefix {bull}"),
        *("dead-letters ls", f"dead-letters redrive {EVALUATED} --all --yes", f"dead-letters purge {EVALUATED} --all"),
        *(f"jobs ls valuation --bull-prefix {bull}", f"jobs show valuation event-2 --bull-prefix {bull}"),
        f"jobs retry valuation event-2 --yes --bull-prefix {bull}",
        f"replay {EVALUATED} --failed --to valuation --job price-stay --bull-prefix {bull} --yes",
        f"jobs rm valuation --all --yes --bull-prefix {bull}",
    ):
        result = await typed(*line.split(), "--redis-url", url)
        assert result.exit_code == 0, f"{line}: {result.output}"


async def test_node_with_too_many_partitions(typed: Type, cluster: ClusterLab) -> None:
    """The doctor names it, and what to move where, with the command where the server has one; then all is well."""
    prefix = f"test-{uuid4().hex[:12]}:"
    while len({cluster.primary_of(f"{prefix}{SPREAD}:p{number}").address for number in range(3)}) != 2:
        prefix = f"test-{uuid4().hex[:12]}:"
    await publish(cluster.url, prefix, 3)
    doctor = ("doctor", "--json", "--redis-url", cluster.url, "--prefix", prefix)
    warning = bad(await typed(*doctor))
    moved = re.search(r"Move the slot of (p\d) to a node with fewer, as (\S+), which has 0", warning["words"])
    assert moved
    key = f"{prefix}{SPREAD}:{moved[1]}"
    crowded, target = cluster.primary_of(key), next(node for node in cluster.nodes if str(node.address) == moved[2])
    assert (warning["status"], warning["node"]) == ("warning", str(crowded.address))
    command, _, name = warning["mend"].partition(" NODE ")
    if name:
        crowded.command(*shlex.split(command)[5:], "NODE", target.command("CLUSTER", "MYID"))
        await asyncio.to_thread(wait_until, lambda: cluster.primary_of(key) is target, "the move")
    else:
        assert command == f"redis-cli --cluster check {crowded.address}"
        cluster.move_slot(cluster.slot_of(key), target)
    assert '"words":"1 channel with partitions found"' in (await typed(*doctor)).stdout


async def test_held_keys_are_found_and_go_on_where_the_queue_lies(
    typed: Type, redis_url: str, redis: Any, bull: str, valuation: Valuation
) -> None:
    """The commands on the order of jobs take both names of a queue, and all keys of a call lie on its node."""
    queue = WorkedQueue(redis_url, redis, bull)
    queue.jobs = valuation.jobs
    for key in ("stay-1", "stay-2", "stay-3"):
        await queue.hold(key, f"{key}-1", f"{key}-2")
    listed = records(await typed("order", "ls", QUEUE, "--json", "--bull-prefix", bull))
    assert [(one["queue"], one["key"], one["waiting"]) for one in listed] == [
        (QUEUE, f"stay-{number}", 1) for number in (1, 2, 3)
    ]
    for words in (("skip", "stay-1"), ("retry", "stay-2")):
        action, key = words
        (outcome,) = records(await typed("order", action, "valuation", key, "--yes", "--json", "--bull-prefix", bull))
        assert outcome["changed"] == 1
    (outcome,) = records(await typed("order", "drop", QUEUE, "--all", "--yes", "--json", "--bull-prefix", bull))
    assert outcome["removed"] == 5
    assert await queue.ids("failed") == ["stay-1-1"]
    assert (await typed("order", "ls", QUEUE, "--bull-prefix", bull)).exit_code == 0
