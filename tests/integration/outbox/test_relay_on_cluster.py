"""A relay on a cluster: a primary that does not answer holds up its own channels, and no others."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio import Redis
from support.publishing import entries, messages

from domainstream.errors import ServerUnavailableError
from domainstream.outbox import Claim, Lease, MemoryOutboxStore, OutboxRelay, SettledBatch
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity, RedisBatchPublisher, failing_nodes, redis_batch_publisher
from domainstream.testing import ServerBinary, server_binaries
from domainstream.testing.cluster_lab import ClusterLab

CHANNELS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
"""Channels whose streams lie on all three nodes."""

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module", params=list(server_binaries()), ids=lambda binary: binary.kind)
def cluster(request: pytest.FixtureRequest) -> Iterator[ClusterLab]:
    """Three primaries without replicas."""
    binary: ServerBinary = request.param
    with ClusterLab(3, 0, binary=binary.path, options=("--cluster-require-full-coverage", "no")) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _short_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give nodes little time to answer, after which they are left alone for four times as long."""
    monkeypatch.setattr(redis_batch_publisher, "NODE_TIMEOUT", 0.5)


class Outbox(MemoryOutboxStore):
    """An outbox in memory that knows what was stored in it."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, list[bytes]] = {channel: [] for channel in CHANNELS}
        self._turn = asyncio.Event()

    def store(self, *some: OutgoingMessage) -> None:
        """Store messages, as a transaction does that is committed."""
        self.add(some)
        for message in some:
            self.stored[message.channel].append(message.data)

    async def next_batch(self, lease: Lease, settled: SettledBatch | None, identity: BatchIdentity) -> Claim:
        """Return what is to be published next."""
        claim = await super().next_batch(lease, settled, identity)
        self._turn.set()
        return claim

    async def until_published(self, *channels: str) -> None:
        """Wait until no row of these channels is left."""
        async with asyncio.timeout(60):
            while any(message.channel in channels for message in self.rows.values()):
                self._turn.clear()
                await self._turn.wait()


@asynccontextmanager
async def relaying(cluster: ClusterLab, prefix: str, outbox: Outbox) -> AsyncIterator[OutboxRelay]:
    """Run a relay that has published something to each channel."""
    publisher = RedisBatchPublisher.from_url(cluster.url, prefix=prefix)
    relay = OutboxRelay(outbox, publisher)
    running = asyncio.create_task(relay.run())
    outbox.store(*(message for channel in CHANNELS for message in messages(channel, 2)))
    await outbox.until_published(*CHANNELS)
    yield relay
    relay.stop()
    await running
    await publisher.close()


@asynccontextmanager
async def frozen(cluster: ClusterLab, key: str) -> AsyncIterator[None]:
    """Pause the node that has a key."""
    node = cluster.primary_of(key)
    node.pause()
    yield
    node.resume()
    await asyncio.to_thread(cluster.wait_ok)


def of_others(cluster: ClusterLab, prefix: str, channel: str) -> list[str]:
    """Return the channels of other nodes."""
    node = cluster.primary_of(prefix + channel)
    return [other for other in CHANNELS if cluster.primary_of(prefix + other) is not node]


async def test_frozen_node_holds_up_no_channel_of_another(cluster: ClusterLab, stream_prefix: str) -> None:
    """While a node does not answer, rows of the others' channels are published; its own follow, once and in order."""
    outbox = Outbox()
    others = of_others(cluster, stream_prefix, CHANNELS[0])
    async with relaying(cluster, stream_prefix, outbox):
        async with frozen(cluster, stream_prefix + CHANNELS[0]):
            for _ in range(2):
                outbox.store(*(message for channel in CHANNELS for message in messages(channel, 3)))
                await outbox.until_published(*others)
            assert {message.channel for message in outbox.rows.values()} == set(CHANNELS) - set(others)
        await outbox.until_published(*CHANNELS)
    for channel in CHANNELS:
        async with Redis.from_url(cluster.primary_of(stream_prefix + channel).url) as redis:
            stored = [data for _, data in await entries(redis, stream_prefix + channel)]
        assert stored == outbox.stored[channel]


async def test_control_relay_that_waits_for_all_nodes(
    cluster: ClusterLab, stream_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: without leaving it alone, a node that does not answer holds up everything."""
    monkeypatch.setattr(failing_nodes, "PATIENCE", math.inf)
    outbox = Outbox()
    others = of_others(cluster, stream_prefix, CHANNELS[0])
    async with relaying(cluster, stream_prefix, outbox):
        async with frozen(cluster, stream_prefix + CHANNELS[0]):
            outbox.store(*messages(CHANNELS[0], 1))
            outbox.store(*messages(others[0], 1))
            waiting = asyncio.create_task(outbox.until_published(others[0]))
            await asyncio.wait([waiting], timeout=4)
            assert not waiting.done()
            assert {message.channel for message in outbox.rows.values()} == {CHANNELS[0], others[0]}
        await waiting


async def answered(call: Callable[[], Awaitable[object]]) -> object:
    """Repeat a call until there is an answer, as a relay does."""
    async with asyncio.timeout(60):
        while True:
            with suppress(ServerUnavailableError):
                return await call()


async def test_node_that_would_remember_the_relay(cluster: ClusterLab, stream_prefix: str) -> None:
    """A relay whose mark lies at the frozen node goes on, and leaves the mark when the node is back."""
    publisher = RedisBatchPublisher.from_url(cluster.url, prefix=stream_prefix)
    mark = f"{stream_prefix}relay:abc"
    async with frozen(cluster, mark):
        await answered(lambda: publisher.introduce("abc"))
        assert await answered(lambda: publisher.remembers("abc"))
    while not cluster.primary_of(mark).command("EXISTS", mark):
        assert await answered(lambda: publisher.remembers("abc"))
    await publisher.close()
