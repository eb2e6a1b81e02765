"""What an operator does to groups and queues is not undone by what subscribers have noted of their progress.

A queue notes up to which entry it has had a channel's jobs, so that entries which are read again are not added again.
"""

import socket
from typing import Any

import pytest
from conftest import Servers
from integration.cli.conftest import Type, records
from redis.asyncio import Redis
from support.consuming import EVALUATED, GROUP, BullJobs, Streams, evaluated, running, subscriptions_of, until

from domainstream.queue import job_id
from domainstream.redis.keys import lease_key
from domainstream.subscriber import RedisBullMQStreamSubscriber
from domainstream.testing import ServerBinary, server_binaries

PLACES = [(binary, is_cluster) for binary in server_binaries() for is_cluster in (False, True)]


@pytest.fixture(params=PLACES, ids=[f"{binary.kind}{', a cluster' * on}" for binary, on in PLACES])
def is_cluster(request: pytest.FixtureRequest) -> bool:
    """Whether the server of the test is the one node of a cluster."""
    return bool(request.param[1])


@pytest.fixture
def redis_url(request: pytest.FixtureRequest, servers: Servers, is_cluster: bool) -> str:
    """The URL of a server, or of a cluster of one node."""
    binary: ServerBinary = request.node.callspec.params["is_cluster"][0]
    return servers.cluster_of(binary).url if is_cluster else servers.url_of(binary)


@pytest.fixture
async def redis(redis_url: str) -> Any:
    """A plain client of the only node."""
    async with Redis.from_url(redis_url.replace("+cluster", "")) as client:
        yield client


class System:
    """A subscriber of one queue, and what it leaves behind."""

    def __init__(self, redis: Redis, url: str, streams: Streams, bull: str, queue: str) -> None:
        self.redis, self.url, self.streams, self.bull = redis, url, streams, bull
        self.jobs = BullJobs(redis, bull, queue)
        self.marks = f"{bull}:{queue}:domainstream:marks"
        self.stream = streams.key(EVALUATED)

    def subscriber(self) -> RedisBullMQStreamSubscriber:
        """Return a subscriber."""
        return RedisBullMQStreamSubscriber.from_url(
            self.url,
            group=GROUP,
            subscriptions=subscriptions_of("valuation"),
            prefix=self.streams.prefix,
            bull_prefix=self.bull,
        )

    async def has(self, wanted: list[str]) -> bool:
        """Return whether these jobs wait, in this order."""
        return await self.jobs.ids() == wanted

    async def forwarded(self) -> list[str]:
        """Let a subscriber forward three events and stop; return the ids of their jobs, which the queue forgets."""
        events = [evaluated() for _ in range(3)]
        for event in events:
            await self.streams.add(event)
        ids = [job_id(event.id) for event in events]
        async with running(self.subscriber()):
            await until(lambda: self.has(ids))
            await until(self.is_settled)
        await self.forget()
        assert await self.redis.hlen(self.marks)
        return ids

    async def is_settled(self) -> bool:
        """Return whether everything is acknowledged."""
        return not await self.streams.pending(EVALUATED)

    async def forget(self) -> None:
        """Let the queue forget its jobs, as if they were completed and removed long ago."""
        keys = [key async for key in self.redis.scan_iter(f"{self.jobs.key}:*") if key != self.marks.encode()]
        await self.redis.delete(*keys)
        await self.redis.hset(f"{self.jobs.key}:meta", "opts.maxLenEvents", "10000")


@pytest.fixture
def system(redis: Redis, redis_url: str, streams: Streams, bull: str, is_cluster: bool) -> System:
    """A stream, a queue and a group."""
    return System(redis, redis_url, streams, bull, "{valuation}" if is_cluster else "valuation")


@pytest.fixture
def unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group counts as unused as soon as no consumer reads."""
    monkeypatch.setattr("domainstream.tools.group_removal.IN_USE_MS", 0)


async def test_events_are_replayed_though_the_queue_had_them(typed: Type, system: System) -> None:
    """`replay` adds jobs whatever the queue's marks say, and what is published later is forwarded as ever."""
    ids = await system.forwarded()
    words = ("--since", "1h", "--to", "valuation", "--job", "price-stay", "--bull-prefix", system.bull, "--yes")
    (outcome,) = records(await typed("replay", EVALUATED, *words, "--json"))
    assert outcome["added"] == 3
    event = evaluated()
    await system.streams.add(event)
    async with running(system.subscriber()):
        await until(lambda: system.has([*ids, job_id(event.id)]))


async def test_group_that_is_set_back_while_nobody_reads(system: System) -> None:
    """After XGROUP SETID, the events from there on are forwarded again."""
    ids = await system.forwarded()
    await system.redis.xgroup_setid(system.stream, GROUP, "0")
    async with running(system.subscriber()):
        await until(lambda: system.has(ids))


async def test_group_that_is_set_back_under_a_subscriber(system: System) -> None:
    """A subscriber that runs notices XGROUP SETID, and forwards the events from there on again."""
    ids = await system.forwarded()
    async with running(system.subscriber()):
        await until(lambda: system.redis.hget(lease_key(system.stream, GROUP), "owner"))
        await system.redis.xgroup_setid(system.stream, GROUP, "0")
        await until(lambda: system.has(ids))


@pytest.mark.usefixtures("unused")
async def test_removed_group_leaves_nothing_behind(typed: Type, system: System) -> None:
    """`groups rm` deletes lease and marks; a subscriber that is started again forwards all that the stream holds."""
    ids = await system.forwarded()
    result = await typed("groups", "rm", EVALUATED, GROUP, "--yes", "--bull-prefix", system.bull)
    assert result.exit_code == 0, result.output
    assert not await system.redis.exists(system.marks)
    assert not await system.redis.exists(lease_key(system.stream, GROUP))
    async with running(system.subscriber()):
        await until(lambda: system.has(ids))


@pytest.mark.usefixtures("unused")
async def test_group_of_a_running_subscriber_is_not_removed(typed: Type, system: System) -> None:
    """While an instance has the lease, the group is in use, however long ago it has read, and it is named."""
    await system.forwarded()
    async with running(system.subscriber()):
        await until(lambda: system.redis.hget(lease_key(system.stream, GROUP), "owner"))
        result = await typed("groups", "rm", EVALUATED, GROUP, "--yes", "--bull-prefix", system.bull)
    assert result.exit_code == 1
    assert f"is in use: the instance {socket.gethostname()} (" in result.stderr
    assert f") reads {EVALUATED} for it. Stop its subscriber" in result.stderr
