"""A failover loses what the new primary did not have; what replicas confirmed is not among that."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
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
from domainstream.testing.server_lab import wait_until

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
        await asyncio.to_thread(wait_until, lambda: cluster.primary_of(CHANNEL) is replica, "a failover")
    async with Redis.from_url(replica.url) as redis:
        kept = {data for _, data in await entries(redis, CHANNEL)}
    return len(promised), sum(data in kept for data in promised)


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
