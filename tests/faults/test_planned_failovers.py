"""A primary that is replaced for maintenance: what a cluster acknowledged stays, what sentinels replace may lose.

A cluster's primary hands over to its replica and stops taking writes first. Sentinels promote a replica while the old
primary goes on, and what that acknowledges meanwhile is lost, unless all replicas confirmed it.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Final

import pytest
from faults.conftest import Report
from faults.record import CHANNELS, Record
from faults.sizes import Size
from redis.asyncio import Redis
from support.publishing import entries

from domainstream import Confirm, Outcome, PublisherSettings, RedisStreamPublisherClient, RetryPolicy
from domainstream.lifecycle import cancel_and_wait
from domainstream.producer import OutgoingMessage
from domainstream.testing import ServerBinary
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.sentinel_lab import SentinelLab
from domainstream.testing.server_lab import LabNode, wait_until

CHANNEL: Final = "orders"

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture
def cluster(binary: ServerBinary) -> Iterator[ClusterLab]:
    """Three primaries with a replica each."""
    with ClusterLab(3, 1, binary=binary.path) as cluster:
        yield cluster


@pytest.mark.parametrize("confirm", [None, "all"])
async def test_planned_failovers_of_a_cluster(
    cluster: ClusterLab, size: Size, report: Report, confirm: Confirm | None
) -> None:
    """While one primary after the other hands over to its replica, nothing acknowledged is lost or added twice."""
    settings = PublisherSettings(url=cluster.url, confirm=confirm)
    async with RedisStreamPublisherClient.from_settings(settings) as client, Record(client) as record:
        for number in range(size.planned_failovers):
            key = CHANNELS[number % len(CHANNELS)]
            cluster.primary_of(key).wait_for_replicas()
            await record.all_acknowledged_since(time.monotonic())
            await asyncio.to_thread(cluster.fail_over, key)
            await record.all_acknowledged_since(time.monotonic())
    await record.assert_kept(cluster)
    report(
        f"{size.planned_failovers} planned failovers, {record.total} messages acknowledged, {len(record.uncertain)} "
        f"uncertain, 0 lost, 0 twice; the longest stall of a channel {record.longest_stall:.2f} s"
    )


@pytest.fixture
def sentinels(binary: ServerBinary) -> Iterator[SentinelLab]:
    """A primary with two replicas, behind three sentinels."""
    with SentinelLab(binary=binary.path) as lab:
        lab.primary().wait_for_replicas(2)
        yield lab


async def over_planned_failovers(lab: SentinelLab, confirm: Confirm | None, size: Size) -> tuple[int, int, int]:
    """Publish while other primaries take over; return how many messages were promised, kept and uncertain.

    At the quick size it ends with the news of the first one: until the old primary is demoted, ten seconds pass.
    """
    retry = RetryPolicy(deadline=timedelta(seconds=10 if size.strict else 2))
    settings = PublisherSettings(url=lab.url, confirm=confirm, retry=retry)
    promised: list[bytes] = []
    uncertain: list[bytes] = []
    progress = asyncio.Event()

    async def more(than: int) -> None:
        async with asyncio.timeout(60):
            while len(promised) <= than:
                progress.clear()
                await progress.wait()

    async def publish() -> None:
        for number in count():
            data = b"%d" % number
            (receipt,) = await client.publish([OutgoingMessage(CHANNEL, str(number), data)])
            if receipt.outcome is Outcome.PUBLISHED:
                promised.append(data)
                progress.set()
            elif receipt.outcome is Outcome.UNKNOWN:
                uncertain.append(data)

    async with RedisStreamPublisherClient.from_settings(settings) as client:
        publishing = asyncio.create_task(publish())
        for _ in range(size.planned_failovers):
            before = lab.primary()
            await more(than=len(promised) + 200)
            await asyncio.to_thread(lab.fail_over)
            if not size.strict:
                break
            await asyncio.to_thread(wait_until, partial(is_demoted, before), "a demotion")
            await asyncio.to_thread(lab.wait_ok)
            await asyncio.to_thread(lab.primary().wait_for_replicas, 2)
            await more(than=len(promised))
        await cancel_and_wait(publishing)
    async with Redis.from_url(lab.primary().url) as redis:
        stored = [data for _, data in await entries(redis, CHANNEL)]
    known, kept = set(promised), set(stored)
    assert len(stored) == len(kept)
    assert [data for data in stored if data in known] == [data for data in promised if data in kept]
    return len(promised), len(known & kept), len(uncertain)


def is_demoted(node: LabNode) -> bool:
    """Return whether a server is a replica."""
    return bool(node.info("replication")["role"] == "slave")


async def test_planned_failovers_by_sentinels(sentinels: SentinelLab, size: Size, report: Report) -> None:
    """What all replicas confirmed is there after sentinels made one of them the primary, once and in order."""
    promised, kept, uncertain = await over_planned_failovers(sentinels, "all", size)
    report(
        f"{size.planned_failovers} planned failovers, {promised} messages confirmed, {uncertain} uncertain, "
        f"{promised - kept} lost"
    )
    assert kept == promised


@pytest.mark.parametrize("confirm", [None, 1])
async def test_control_planned_failovers_by_sentinels(
    sentinels: SentinelLab, size: Size, report: Report, confirm: Confirm | None
) -> None:
    """Control: what the old primary acknowledges after a replica was promoted is lost, also if the other confirms."""
    promised, kept, uncertain = await over_planned_failovers(sentinels, confirm, size)
    report(
        f"{size.planned_failovers} planned failovers, {promised} messages acknowledged, {uncertain} uncertain, "
        f"{promised - kept} lost"
    )
    assert kept < promised
