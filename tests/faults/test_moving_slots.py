"""While slots move between the nodes of a cluster, what is published to them is there once and in order."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from faults.conftest import Report
from faults.record import CHANNELS, Record
from faults.sizes import Size

from domainstream import RedisStreamPublisherClient
from domainstream.testing import ServerBinary
from domainstream.testing.cluster_lab import ClusterLab

PAUSE = timedelta(milliseconds=2)

pytestmark = [pytest.mark.every_server, pytest.mark.xdist_group("cluster")]


@pytest.fixture
def cluster(binary: ServerBinary) -> Iterator[ClusterLab]:
    """Three primaries without replicas."""
    with ClusterLab(3, 0, binary=binary.path) as cluster:
        yield cluster


@pytest.mark.parametrize("atomic", [None, False], ids=["as the server can", "key by key"])
async def test_slots_that_move_there_and_back(
    cluster: ClusterLab, size: Size, report: Report, *, atomic: bool | None
) -> None:
    """Slots that move under load lose nothing and add nothing twice; each channel keeps its order."""
    pause = PAUSE if atomic is False else timedelta(0)
    async with RedisStreamPublisherClient.from_url(cluster.url) as client, Record(client) as record:
        for number in range(size.slot_moves):
            channel = CHANNELS[number % len(CHANNELS)]
            home, slot = cluster.primary_of(channel), cluster.slot_of(channel)
            away = cluster.nodes[(cluster.nodes.index(home) + 1) % len(cluster.nodes)]
            for to in (away, home):
                await asyncio.to_thread(cluster.move_slot, slot, to, atomic=atomic, pause=pause)
                await record.all_acknowledged_since(time.monotonic())
    assert record.uncertain == set()
    await record.assert_kept(cluster)
    report(
        f"{size.slot_moves} slots moved there and back, {record.total} messages acknowledged, 0 lost, 0 twice; the "
        f"longest stall of a channel {record.longest_stall:.2f} s"
    )
