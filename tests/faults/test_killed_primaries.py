"""What a cluster acknowledged is there once and in order, however often its primaries are killed."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Final, Self

import pytest
from faults.conftest import Report
from faults.sizes import Size
from redis.asyncio import Redis
from support.publishing import IMPATIENT, entries, messages, outcomes

from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.testing import ServerBinary
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import LabNode, wait_until

CHANNELS: Final = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
"""Channels whose streams lie on all primaries."""

NODE_TIMEOUT: Final = timedelta(seconds=2)
BEARABLE: Final = 3.0
"""How many times as long as promised a failover may take on a machine at its limit."""

pytestmark = [pytest.mark.every_server, pytest.mark.xdist_group("cluster")]


@pytest.fixture
def cluster(binary: ServerBinary) -> Iterator[ClusterLab]:
    """Three primaries with a replica each."""
    with ClusterLab(3, 1, binary=binary.path, node_timeout=NODE_TIMEOUT) as cluster:
        yield cluster


class Record:
    """Publishes to every channel, one call after the other in each, and keeps what was acknowledged."""

    def __init__(self, client: RedisStreamPublisherClient) -> None:
        self.acknowledged: dict[str, list[bytes]] = {channel: [] for channel in CHANNELS}
        self.uncertain: set[bytes] = set()
        """Messages whose receipts say `unknown`: they may be there."""
        self.acknowledged_at: dict[str, float] = {}
        """When a message of a channel was last acknowledged."""
        self._client = client
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._publishing = [asyncio.create_task(self._publish(channel)) for channel in CHANNELS]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._publishing)

    async def _publish(self, channel: str) -> None:
        while not self._over.is_set():
            batch = messages(channel, 5)
            for message, receipt in zip(batch, await self._client.publish(batch), strict=True):
                if receipt.outcome is Outcome.PUBLISHED:
                    self.acknowledged[channel].append(message.data)
                    self.acknowledged_at[channel] = time.monotonic()
                    self._news.set()
                elif receipt.outcome is Outcome.UNKNOWN:
                    self.uncertain.add(message.data)
            await asyncio.sleep(0.001)

    async def all_acknowledged_since(self, moment: float) -> None:
        """Wait until each channel has had a message acknowledged after a moment."""
        async with asyncio.timeout(60):
            while min(self.acknowledged_at.get(channel, 0.0) for channel in CHANNELS) <= moment:
                self._news.clear()
                await self._news.wait()


def passes_on(node: LabNode) -> bool:
    """Return whether a primary sends its replica what it acknowledges: not during the first sync."""
    replication = node.info("replication")
    if replication["role"] != "master":
        return bool(replication["master_link_status"] == "up")
    return "slave0" in replication and bool(replication["slave0"]["state"] == "online")


async def test_acknowledged_messages_survive(cluster: ClusterLab, size: Size, report: Report) -> None:
    """While one primary after the other is killed, what was acknowledged is in its stream once, in order."""
    outages = []
    async with RedisStreamPublisherClient.from_url(cluster.url) as client, Record(client) as record:
        for number in range(size.primary_kills):
            await asyncio.to_thread(wait_until, lambda: all(map(passes_on, cluster.nodes)), "replicas that are online")
            await record.all_acknowledged_since(time.monotonic())
            key = CHANNELS[number % len(CHANNELS)]
            primary = cluster.primary_of(key)
            await asyncio.to_thread(primary.kill)
            killed = time.monotonic()
            # Replies that came before it died may still be read; and if it came back now, it would come back empty.
            await asyncio.to_thread(wait_until, partial(has_been_replaced, cluster, key), "a failover")
            await record.all_acknowledged_since(time.monotonic())
            outages.append(time.monotonic() - killed)
            primary.start()  # as a replica of the one that took over
    for channel in CHANNELS:
        async with Redis.from_url(cluster.primary_of(channel).url) as redis:
            stored = [data for _, data in await entries(redis, channel)]
        assert len(stored) == len(set(stored))
        assert [data for data in stored if data not in record.uncertain] == record.acknowledged[channel]
    total, uncertain = sum(map(len, record.acknowledged.values())), len(record.uncertain)
    report(
        f"{size.primary_kills} kills, {total} messages acknowledged, {uncertain} uncertain, 0 lost, 0 twice; "
        f"every channel back after {max(outages):.2f} s at most"
    )
    assert max(outages) < (NODE_TIMEOUT.total_seconds() + 3) * BEARABLE


async def test_control_client_of_one_node(cluster: ClusterLab) -> None:
    """Control: a client that does not follow the slots publishes nothing once its node is dead and replaced."""
    primary = cluster.primary_of(CHANNELS[0])
    async with RedisStreamPublisherClient.from_url(primary.url, retry=IMPATIENT) as client:
        assert outcomes(await client.publish(messages(CHANNELS[0], 1))) == {Outcome.PUBLISHED}
        primary.kill()
        await asyncio.to_thread(wait_until, partial(has_been_replaced, cluster, CHANNELS[0]), "a failover")
        assert Outcome.PUBLISHED not in outcomes(await client.publish(messages(CHANNELS[0], 1)))


def has_been_replaced(cluster: ClusterLab, key: str) -> bool:
    """Return whether a node that answers has a key."""
    try:
        return cluster.primary_of(key).answers
    except LookupError:
        return False
