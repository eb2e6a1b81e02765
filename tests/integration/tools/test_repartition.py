"""A change of a channel's number of partitions: nothing unread is left behind, wherever the change is interrupted."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from redis.asyncio import Redis
from support.publishing import messages, outcomes

from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.channel.partitions import streams_of, targets_of
from domainstream.errors import ConfigurationError, ServerRefusedError
from domainstream.publisher.index_records import index_keys
from domainstream.redis.nodes import RedisNodes
from domainstream.testing import server_binaries
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.tools.repartition import RedisRepartition, UnreadEntriesError

CHANNEL = "domain_coding_stay_created"
CHANGES = [(1, 4), (4, 8), (8, 3), (4, 1)]


class System:
    """A channel with one group, as publishers and subscribers see it."""

    def __init__(self, url: str, nodes: RedisNodes, prefix: str) -> None:
        self.nodes = nodes
        self.tool = RedisRepartition(nodes, prefix=prefix)
        self.url, self.prefix = url, prefix
        self.published: set[str] = set()
        """The ids of the events that were published."""
        self.read: set[str] = set()
        """The ids of the events that the group has read."""

    def key(self, stream: str) -> str:
        """Return the key of a stream."""
        return f"{self.prefix}{stream}"

    async def publish(self, partitions: int) -> set[Outcome]:
        """Publish an event to each partition, as a client that has just started."""
        events = [event for target in targets_of(CHANNEL, partitions) for event in messages(target, 1)]
        async with RedisStreamPublisherClient.from_url(self.url, prefix=self.prefix) as client:
            receipts = await client.publish(events)
        self.published |= {receipt.event_id for receipt in receipts if receipt.outcome is Outcome.PUBLISHED}
        return outcomes(receipts)

    async def subscribe(self, partitions: int) -> None:
        """Make the group on each stream that there is not."""
        for stream in streams_of(CHANNEL, partitions):
            with suppress(ServerRefusedError):  # it is there
                await self.on(stream, "xgroup_create", "g", "0", mkstream=True)

    async def consume(self, partitions: int) -> None:
        """Read and acknowledge everything in the streams of so many partitions, where the group exists."""
        for stream in streams_of(CHANNEL, partitions):
            if await self.on(stream, "type") != b"stream":
                continue
            key = self.key(stream)
            found: Any = await self.nodes.run(
                key,
                lambda client, key=key: client.xreadgroup("g", "c", {key: ">"}),  # type: ignore[misc]
            )
            for _, entries in found or ():
                for entry_id, fields in entries:
                    self.read.add(fields[b"data"].decode().split('"')[3])
                    await self.on(stream, "xack", "g", entry_id)

    async def change(self, after: int) -> None:
        """Change the number of partitions."""
        await self.tool.apply(await self.tool.plan(CHANNEL, after))

    async def on(self, stream: str, command: str, *arguments: Any, **options: Any) -> Any:
        """Send a command about a stream's key."""
        key = self.key(stream)
        return await self.nodes.run(key, lambda client: getattr(client, command)(key, *arguments, **options))

    async def existing(self) -> list[str]:
        """Return the streams that there are."""
        keys = await self.nodes.keys_like(self.prefix, "stream")
        return [key.removeprefix(self.prefix) for key in keys]


@pytest.fixture
async def system(redis_url: str, stream_prefix: str) -> AsyncIterator[System]:
    """A channel on one server."""
    async with RedisNodes.open(redis_url) as nodes:
        yield System(redis_url, nodes, stream_prefix)


async def is_changed(system: System, before: int, after: int) -> None:
    """Assert that the channel has the new number, and nothing of the old one."""
    assert await system.publish(before) == {Outcome.REJECTED}
    assert await system.publish(after) == {Outcome.PUBLISHED}
    assert await system.existing() == sorted(streams_of(CHANNEL, after))
    await system.consume(after)  # the groups are there
    assert system.read == system.published


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_number_changes_once_everything_is_read(system: System, before: int, after: int) -> None:
    """Publishers with the new number are accepted from then on, those with the old one rejected; groups come along."""
    await system.subscribe(before)
    await system.publish(before)
    await system.consume(before)
    await system.change(after)
    await is_changed(system, before, after)


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_unread_entries_refuse_the_change(system: System, before: int, after: int) -> None:
    """While one entry is unread, pending or without a group, nothing changes, and publishers go on."""
    await system.publish(before)
    with pytest.raises(UnreadEntriesError, match="no group reads it"):
        await system.tool.plan(CHANNEL, after)
    await system.subscribe(before)
    with pytest.raises(UnreadEntriesError, match=r"\(g\)"):
        await system.tool.plan(CHANNEL, after)
    await system.consume(before)
    await system.publish(before)
    last = system.key(streams_of(CHANNEL, before)[-1])
    await system.nodes.run(last, lambda client: client.xreadgroup("g", "c", {last: ">"}))
    with pytest.raises(UnreadEntriesError, match="not acknowledged"):
        await system.tool.plan(CHANNEL, after)
    assert await system.publish(before) == {Outcome.PUBLISHED}


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_entries_that_come_meanwhile_refuse_it(system: System, before: int, after: int) -> None:
    """What is published after the first look is found by the second one, and publishers go on."""
    await system.subscribe(before)
    await system.publish(before)
    await system.consume(before)
    change = await system.tool.plan(CHANNEL, after)
    await system.publish(before)
    with pytest.raises(UnreadEntriesError):
        await system.tool.apply(change)
    assert await system.publish(before) == {Outcome.PUBLISHED}
    await system.consume(before)
    assert system.read == system.published
    await system.change(after)
    await is_changed(system, before, after)


class DiedError(Exception):
    """The process that makes the change is gone."""


class MortalNodes:
    """Nodes of a process that dies at its n-th call."""

    def __init__(self, nodes: RedisNodes, calls: int) -> None:
        self._nodes, self._left = nodes, calls
        self.is_cluster = nodes.is_cluster

    async def call(self, *arguments: Any) -> Any:
        """Call a script."""
        return await self._count(self._nodes.call, arguments)

    async def run(self, *arguments: Any) -> Any:
        """Run a command."""
        return await self._count(self._nodes.run, arguments)

    async def _count(self, function: Any, arguments: Sequence[Any]) -> Any:
        if not self._left:
            raise DiedError
        self._left -= 1
        return await function(*arguments)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 3), (3, 2), (2, 1)])
async def test_interrupted_change_is_finished(redis_url: str, stream_prefix: str, before: int, after: int) -> None:
    """Wherever the change dies, publishers of both numbers lose nothing, and the next run finishes it."""
    calls = 0
    for calls in count(1):
        async with RedisNodes.open(redis_url) as nodes:
            system = System(redis_url, nodes, f"{stream_prefix}{calls}:")
            await system.subscribe(before)
            await system.publish(before)
            await system.consume(before)
            mortal = RedisRepartition(nodes, prefix=system.prefix)
            mortal._nodes = MortalNodes(nodes, calls)  # type: ignore[assignment]
            try:
                await mortal.apply(await mortal.plan(CHANNEL, after))
            except DiedError:
                is_finished = False
            else:
                is_finished = True
            accepted = [number for number in (before, after) if Outcome.PUBLISHED in await system.publish(number)]
            assert len(accepted) < 2
            for number in (before, after):
                await system.consume(number)
            assert system.read == system.published
            await system.change(after)
            if await system.existing() != sorted(streams_of(CHANNEL, after)):  # it died when it removed the old ones
                assert calls > 10
                for stream in {*streams_of(CHANNEL, before)} - {*streams_of(CHANNEL, after)}:
                    await system.on(stream, "delete")
            await is_changed(system, before, after)
        if is_finished:
            break
    assert calls > 5


async def test_other_change_waits_for_the_first(system: System) -> None:
    """A change that has begun is finished before another one begins."""
    await system.subscribe(2)
    await system.publish(2)
    await system.consume(2)
    await system.on(CHANNEL, "set", "2>4")
    with pytest.raises(ConfigurationError, match="run it again with 4 first"):
        await system.tool.plan(CHANNEL, 8)
    async with RedisStreamPublisherClient.from_url(system.url, prefix=system.prefix) as client:
        (receipt,) = await client.publish(messages(targets_of(CHANNEL, 4)[3], 1))
    assert "run domainstream streams repartition domain_coding_stay_created 4 again" in str(receipt.error)


async def test_dead_letters_refuse_it(system: System) -> None:
    """Dead letters of a stream that would go could not be put back into it."""
    await system.subscribe(4)
    await system.publish(4)
    await system.consume(4)
    await system.on(f"{CHANNEL}:p3:dead", "xadd", {"data": "x"})
    with pytest.raises(UnreadEntriesError, match="p3 has dead letters"):
        await system.tool.plan(CHANNEL, 2)
    assert (await system.tool.plan(CHANNEL, 8)).after == 8


async def test_lease_goes_with_its_stream(system: System) -> None:
    """A stream that is removed takes its leases along: one of its name that is made later is another one."""
    await system.subscribe(2)
    await system.publish(2)
    await system.consume(2)
    lease = f"{{{system.key(CHANNEL)}:p1}}:lease:g"
    await system.nodes.run(lease, lambda client: client.hset(lease, "token", "t"))
    await system.change(1)
    assert not await system.nodes.run(lease, lambda client: client.exists(lease))


@pytest.mark.xdist_group("cluster")
async def test_change_on_a_cluster(stream_prefix: str) -> None:
    """Streams, leases and numbers lie on three nodes, and the change is the same."""
    with ClusterLab(3, 0, binary=next(iter(server_binaries())).path) as cluster:
        async with RedisNodes.open(cluster.url) as nodes:
            system = System(cluster.url, nodes, stream_prefix)
            for before, after in ((1, 6), (6, 12), (12, 1)):
                await system.subscribe(before)
                await system.publish(before)
                await system.consume(before)
                await system.change(after)
                await is_changed(system, before, after)


async def test_control_of_what_is_left_behind(system: System, redis: Redis) -> None:
    """Without a change of the number, who writes to streams of another one writes where nobody reads."""
    await system.subscribe(2)
    await system.publish(2)
    await system.consume(2)
    await redis.set(f"{{{system.key(CHANNEL)}:p3}}:partitions", "4")
    await redis.set(system.key(CHANNEL), "4")
    async with RedisStreamPublisherClient.from_url(system.url, prefix=system.prefix) as client:
        assert outcomes(await client.publish(messages(targets_of(CHANNEL, 4)[3], 1))) == {Outcome.PUBLISHED}
    await system.consume(2)
    assert await redis.xlen(system.key(f"{CHANNEL}:p3")) == 1


async def test_index_goes_with_the_stream(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """Of a stream that goes nothing stays; the streams that stay keep their indexes."""
    system = System(redis_url, RedisNodes.of(redis), stream_prefix)
    await system.subscribe(4)
    await system.publish(4)
    await system.consume(4)
    await system.change(3)
    tails = {key.decode() async for key in redis.scan_iter(f"*{stream_prefix}*:index:tail")}
    assert tails == {index_keys(system.key(f"{CHANNEL}:p{number}"))[1] for number in range(3)}
