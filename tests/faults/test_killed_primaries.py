"""What a cluster acknowledged is there once and in order, however often its primaries are killed."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Final

import pytest
from faults.conftest import Report
from faults.record import CHANNELS, Record
from faults.sizes import Size
from support.publishing import IMPATIENT, messages, outcomes

from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.testing import ServerBinary
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import LabNode, wait_until

NODE_TIMEOUT: Final = timedelta(seconds=2)
BEARABLE: Final = 3.0
"""How many times as long as promised a failover may take on a machine at its limit."""

pytestmark = [pytest.mark.every_server, pytest.mark.xdist_group("cluster")]


@pytest.fixture
def cluster(binary: ServerBinary) -> Iterator[ClusterLab]:
    """Three primaries with a replica each."""
    with ClusterLab(3, 1, binary=binary.path, node_timeout=NODE_TIMEOUT) as cluster:
        yield cluster


def has_been_replaced(cluster: ClusterLab, key: str) -> bool:
    """Return whether a node that answers has a key."""
    return cluster.primary_of(key).answers


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
    await record.assert_kept(cluster)
    report(
        f"{size.primary_kills} kills, {record.total} messages acknowledged, {len(record.uncertain)} uncertain, 0 lost, "
        f"0 twice; every channel back after {max(outages):.2f} s at most"
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
