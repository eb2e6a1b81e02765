"""On a cluster whose slots move, each message is published once and in order, and a dead node holds up no other."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Self, cast

import pytest
from redis.asyncio import Redis, RedisCluster
from support.publishing import entries, messages, outcomes

from domainstream import Outcome, PublisherSettings, RedisStreamPublisherClient
from domainstream.publisher import BatchIdentity, RedisBatchPublisher
from domainstream.publisher.coalescer import Coalescer
from domainstream.publisher.lane import Lane
from domainstream.publisher.redis_batch_sender import BatchCalls, RedisBatchSender
from domainstream.redis.cluster_link import ClusterLink
from domainstream.redis.slot_map import SlotMap
from domainstream.redis.topology import Address, RedisTopology
from domainstream.settings import RetryPolicy
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.fault_proxy import FaultProxy

CHANNELS: Final = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
"""Channels whose streams lie on all three nodes."""

pytestmark = pytest.mark.xdist_group("cluster")


async def stored(cluster: ClusterLab, key: str) -> list[bytes]:
    """Return the messages of a stream, read at the node that has it."""
    async with Redis.from_url(cluster.primary_of(key).url) as redis:
        return [data for _, data in await entries(redis, key)]


class Source:
    """Publishes to each channel without a pause, several calls at a time, and remembers what."""

    def __init__(self, client: RedisStreamPublisherClient) -> None:
        self.published: dict[str, list[bytes]] = {channel: [] for channel in CHANNELS}
        """The messages of each channel, in the order of the calls."""
        self.failed: list[object] = []
        """Receipts that do not say `published`."""
        self._client = client
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._publishing = [asyncio.create_task(self._publish(channel)) for channel in CHANNELS for _ in range(3)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._publishing)

    async def _publish(self, channel: str) -> None:
        while not self._over.is_set():
            batch = messages(channel, 2)
            self.published[channel] += [message.data for message in batch]
            receipts = await self._client.publish(batch)
            self.failed += [receipt for receipt in receipts if receipt.outcome is not Outcome.PUBLISHED]
            await asyncio.sleep(0.001)


@pytest.fixture
def redirects(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the errors that links to the cluster are given."""
    seen: Counter[str] = Counter()
    plain = ClusterLink._next

    def counted(link: ClusterLink, reply: Exception, answered: Address) -> Any:
        seen[type(reply).__name__] += 1
        return plain(link, reply, answered)

    monkeypatch.setattr(ClusterLink, "_next", counted)
    return seen


async def move(cluster: ClusterLab, key: str, *, atomic: bool | None = None, pause: timedelta = timedelta(0)) -> None:
    """Move the slot of a key to another node."""
    to = next(node for node in cluster.nodes if node is not cluster.primary_of(key))
    await asyncio.to_thread(cluster.move_slot, cluster.slot_of(key), to, atomic=atomic, pause=pause)


@pytest.mark.parametrize("atomic", [None, False], ids=["as the server can", "key by key"])
async def test_slots_that_move_under_load(
    cluster: ClusterLab, stream_prefix: str, redirects: Counter[str], *, atomic: bool | None
) -> None:
    """While the slots of two channels move there and back, nothing is lost, added twice or out of order."""
    pause = timedelta(milliseconds=2) if atomic is False else timedelta(0)
    async with (
        RedisStreamPublisherClient.from_url(cluster.url, prefix=stream_prefix) as client,
        Source(client) as source,
    ):
        for channel in CHANNELS[:2] * 4:
            await move(cluster, stream_prefix + channel, atomic=atomic, pause=pause)
    assert redirects["MovedError"]
    assert atomic is None or redirects["AskError"]
    assert source.failed == []
    for channel in CHANNELS:
        assert await stored(cluster, stream_prefix + channel) == source.published[channel]


class ProxiedTopology(RedisTopology):
    """A cluster whose nodes are reached through proxies."""

    def __init__(self, topology: RedisTopology, proxies: dict[Address, FaultProxy]) -> None:
        for name in ("kind", "seeds", "primary_name", "database", "_server_url", "_sentinel_url"):
            object.__setattr__(self, name, getattr(topology, name))
        object.__setattr__(self, "proxies", proxies)

    def url_of(self, address: Address) -> str:
        """Return the URL of the proxy in front of a node."""
        proxies: dict[Address, FaultProxy] = self.proxies  # type: ignore[attr-defined]
        return proxies[address].url


@asynccontextmanager
async def proxied(cluster: ClusterLab) -> AsyncIterator[tuple[RedisTopology, list[FaultProxy]]]:
    """Put a proxy in front of each node, and give a topology that leads through them."""
    async with AsyncExitStack() as running:
        proxies = {node.address: await running.enter_async_context(FaultProxy(node.url)) for node in cluster.nodes}
        yield ProxiedTopology(RedisTopology.of(cluster.url), proxies), list(proxies.values())


async def test_lost_replies(cluster: ClusterLab, stream_prefix: str) -> None:
    """When one reply in twenty is lost, at every node, nothing is lost, added twice or out of order."""
    async with proxied(cluster) as (topology, proxies):
        settings = PublisherSettings(url=cast("str", topology), prefix=stream_prefix)
        for number, proxy in enumerate(proxies):
            proxy.lose_share_of_replies_to(b"EVALSHA", 0.05, seed=number)
        async with RedisStreamPublisherClient.from_settings(settings) as client, Source(client) as source:
            while sum(proxy.faults for proxy in proxies) < 20:
                await client.publish(messages("beside", 1))
    assert source.failed == []
    for channel in CHANNELS:
        assert await stored(cluster, stream_prefix + channel) == source.published[channel]


async def test_control_cluster_client_of_redis_py(cluster: ClusterLab, stream_prefix: str) -> None:
    """Control: redis-py's own client adds an entry for each lost reply besides the right one."""
    key = f"{stream_prefix}orders"
    async with proxied(cluster) as (topology, proxies):

        def proxy_of(address: tuple[str, int]) -> tuple[str, int]:
            return address[0], int(topology.url_of(Address(*address)).rpartition(":")[2])

        host, port = proxy_of(cluster.nodes[0].address)
        async with RedisCluster(host=host, port=port, address_remap=proxy_of) as client:
            await client.initialize()
            for proxy in proxies:
                proxy.lose_replies_to(b"XADD", 1)
            await client.xadd(key, {"data": "x"})
    assert len(await stored(cluster, key)) == 2


async def test_frozen_node_holds_up_no_channel_of_another(cluster: ClusterLab, stream_prefix: str) -> None:
    """While a node does not answer, messages of the others' channels are published."""
    async with RedisStreamPublisherClient.from_url(cluster.url, prefix=stream_prefix) as client:
        await client.publish([message for channel in CHANNELS for message in messages(channel, 1)])
        stuck, others = freeze(cluster, stream_prefix)
        try:
            waiting = asyncio.create_task(client.publish(messages(stuck, 1)))
            for channel in others * 10:
                assert outcomes(await client.publish(messages(channel, 1))) == {Outcome.PUBLISHED}
            assert not waiting.done()
        finally:
            thaw(cluster)
        assert outcomes(await waiting) == {Outcome.PUBLISHED}


async def test_control_one_lane_for_all_nodes(cluster: ClusterLab, stream_prefix: str) -> None:
    """Control: if all channels shared a lane, those of the other nodes would wait for the frozen one."""
    retry = RetryPolicy(attempt_timeout=timedelta(milliseconds=500))
    settings = PublisherSettings(prefix=stream_prefix, retry=retry)
    link = ClusterLink(SlotMap(RedisTopology.of(cluster.url)))
    lane = Lane(RedisBatchSender(link, BatchCalls(settings), retry), settings.limits)
    publisher = Coalescer(lane, settings.limits, 10)
    await publisher.publish([message for channel in CHANNELS for message in messages(channel, 1)])
    stuck, others = freeze(cluster, stream_prefix)
    try:
        waiting = asyncio.create_task(publisher.publish(messages(stuck, 1)))
        await asyncio.sleep(0)
        beside = asyncio.create_task(publisher.publish(messages(others[0], 1)))
        await asyncio.wait([beside], timeout=2)
        assert not beside.done()
    finally:
        thaw(cluster)
    assert outcomes(await waiting + await beside) == {Outcome.PUBLISHED}
    await lane.close()


def freeze(cluster: ClusterLab, prefix: str) -> tuple[str, list[str]]:
    """Pause a node; return one of its channels, and the channels of the other nodes."""
    frozen = cluster.primary_of(prefix + CHANNELS[0])
    others = [channel for channel in CHANNELS if cluster.primary_of(prefix + channel) is not frozen]
    assert others
    frozen.pause()
    return CHANNELS[0], others


def thaw(cluster: ClusterLab) -> None:
    """Resume what is paused."""
    for node in cluster.nodes:
        if node.is_paused:
            node.resume()
    cluster.wait_ok()


async def test_health_names_the_primary_that_does_not_answer(cluster: ClusterLab, stream_prefix: str) -> None:
    """A publisher is healthy when every primary answers, and says which one does not."""
    retry = RetryPolicy(attempt_timeout=timedelta(milliseconds=500))
    async with RedisStreamPublisherClient.from_url(cluster.url, prefix=stream_prefix, retry=retry) as client:
        assert (await client.health()).ok
        freeze(cluster, stream_prefix)
        try:
            health = await client.health()
        finally:
            thaw(cluster)
    frozen = cluster.primary_of(stream_prefix + CHANNELS[0])
    assert not health.ok
    assert str(frozen.address) in (health.problem or "")


async def test_batch_of_a_relay_that_is_sent_again(cluster: ClusterLab, stream_prefix: str) -> None:
    """A batch over all nodes that is sent again after the slot of a channel moved adds nothing."""
    batch = [message for channel in CHANNELS for message in messages(channel, 3)]
    identity = BatchIdentity("relay1", 1)
    publisher = RedisBatchPublisher.from_url(cluster.url, prefix=stream_prefix)
    await publisher.introduce(identity.producer)
    assert await publisher.send(batch, identity) == {}
    await move(cluster, stream_prefix + CHANNELS[0])
    assert await publisher.send(batch, identity) == {}
    assert await publisher.remembers(identity.producer)
    await publisher.close()
    for channel in CHANNELS:
        wanted = [message.data for message in batch if message.channel == channel]
        assert await stored(cluster, stream_prefix + channel) == wanted
