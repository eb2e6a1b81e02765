"""A failover loses what the new primary did not have; what replicas confirmed is not among that."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count
from typing import Final

import pytest
from faults.conftest import Report
from redis.asyncio import Redis
from support.publishing import entries

from domainstream import Confirm, Outcome, PublisherSettings, RedisStreamPublisherClient
from domainstream.producer import OutgoingMessage
from domainstream.settings import RetryPolicy
from domainstream.testing import ServerBinary
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.sentinel_lab import SentinelLab
from domainstream.testing.server_lab import LabNode, wait_until

CHANNEL: Final = "orders"
SIZE: Final = 200_000
BEFORE, BEHIND = 50, 250
"""Messages before and after the replica falls behind; the latter are more than the system's buffers hold."""

RETRY: Final = RetryPolicy(deadline=timedelta(seconds=4), attempt_timeout=timedelta(seconds=2))

pytestmark = [pytest.mark.every_server, pytest.mark.xdist_group("cluster")]


@pytest.fixture
def cluster(binary: ServerBinary) -> Iterator[ClusterLab]:
    """Three primaries with a replica each."""
    with ClusterLab(3, 1, binary=binary.path) as cluster:
        cluster.primary_of(CHANNEL).wait_for_replicas()
        yield cluster


async def acknowledged(client: RedisStreamPublisherClient, numbers: Sequence[int]) -> list[bytes]:
    """Publish large messages, and return those whose receipts say `published`."""
    some = [OutgoingMessage(CHANNEL, str(number), b"%d:" % number + b"x" * SIZE) for number in numbers]
    receipts = await client.publish(some)
    pairs = zip(some, receipts, strict=True)
    return [message.data for message, receipt in pairs if receipt.outcome is Outcome.PUBLISHED]


async def promised_and_kept(cluster: ClusterLab, confirm: Confirm | None) -> tuple[int, int]:
    """Kill a primary whose replica has fallen behind; return how many were acknowledged, and how many remain."""
    primary = cluster.primary_of(CHANNEL)
    replica = cluster.replica_of(primary)
    settings = PublisherSettings(url=cluster.url, confirm=confirm, retry=RETRY)
    async with RedisStreamPublisherClient.from_settings(settings) as client:
        promised = await acknowledged(client, range(BEFORE))
        assert len(promised) == BEFORE
        replica.pause()
        promised += await acknowledged(client, range(BEFORE, BEFORE + BEHIND))
        primary.kill()
        replica.resume()
        await asyncio.to_thread(wait_until, lambda: has(cluster, replica), "a failover")
    async with Redis.from_url(replica.url) as redis:
        kept = {data for _, data in await entries(redis, CHANNEL)}
    return len(promised), sum(data in kept for data in promised)


def has(cluster: ClusterLab, node: LabNode) -> bool:
    """Return whether a node has the channel's stream."""
    try:
        return cluster.primary_of(CHANNEL) is node
    except LookupError:
        return False


@pytest.mark.parametrize("confirm", [1, "all"])
async def test_confirmed_messages_survive(cluster: ClusterLab, report: Report, confirm: Confirm) -> None:
    """What replicas have confirmed is there after a failover, and nothing else is said to be published."""
    promised, kept = await promised_and_kept(cluster, confirm)
    report(f"{promised} of {BEFORE + BEHIND} messages confirmed, {promised - kept} of them lost")
    assert kept == promised


async def test_control_without_waiting(cluster: ClusterLab, report: Report) -> None:
    """Control: of what the primary alone acknowledged, the failover loses what its replica did not have."""
    promised, kept = await promised_and_kept(cluster, None)
    report(f"{promised} of {BEFORE + BEHIND} messages acknowledged, {promised - kept} of them lost")
    assert kept < promised


@pytest.fixture
def sentinels(binary: ServerBinary) -> Iterator[SentinelLab]:
    """A primary with two replicas, behind three sentinels."""
    with SentinelLab(binary=binary.path) as lab:
        lab.primary().wait_for_replicas(2)
        yield lab


async def over_a_planned_failover(lab: SentinelLab, confirm: Confirm | None) -> tuple[int, int]:
    """Publish while another primary takes over; return how many messages were acknowledged, and how many remain."""
    settings = PublisherSettings(url=lab.url, confirm=confirm)
    promised: list[bytes] = []
    progress, over = asyncio.Event(), asyncio.Event()

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
            if over.is_set():
                return

    async with RedisStreamPublisherClient.from_settings(settings) as client:
        publishing = asyncio.create_task(publish())
        before = lab.primary()
        await more(than=200)
        await asyncio.to_thread(lab.fail_over)
        await asyncio.to_thread(wait_until, lambda: before.info("replication")["role"] == "slave", "a demotion")
        await more(than=len(promised))
        over.set()
        await publishing
    async with Redis.from_url(lab.primary().url) as redis:
        kept = [data for _, data in await entries(redis, CHANNEL)]
    assert len(kept) == len(set(kept))
    assert [data for data in kept if data in set(promised)] == [data for data in promised if data in set(kept)]
    return len(promised), sum(data in set(kept) for data in promised)


async def test_confirmed_messages_survive_a_planned_failover(sentinels: SentinelLab, report: Report) -> None:
    """What all replicas confirmed is there after sentinels made one of them the primary, once and in order."""
    promised, kept = await over_a_planned_failover(sentinels, "all")
    report(f"{promised} messages confirmed, {promised - kept} of them lost")
    assert kept == promised


async def test_control_planned_failover_without_waiting(sentinels: SentinelLab, report: Report) -> None:
    """Control: what the old primary acknowledges after a replica was promoted is lost, though it answers."""
    promised, kept = await over_a_planned_failover(sentinels, None)
    report(f"{promised} messages acknowledged, {promised - kept} of them lost")
    assert kept < promised
