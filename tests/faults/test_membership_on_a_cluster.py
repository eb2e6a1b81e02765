"""Instances come, go and are killed while a primary of the cluster dies: partitions are read again soon, in order."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import pytest
from faults.conftest import Report
from faults.group import LEASE, Group, publishing
from faults.sizes import Size
from faults.test_killed_primaries import BEARABLE, has_been_replaced, passes_on
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError
from support.consuming import GROUP, BullJobs, until
from support.partitions import STREAMS, assert_once_and_in_order, in_the_streams

from domainstream.redis.keys import lease_key
from domainstream.testing import ServerBinary
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import wait_until

NODE_TIMEOUT: Final = timedelta(seconds=2)
PROMISED: Final = LEASE + NODE_TIMEOUT.total_seconds() + 3
"""Seconds until all partitions are read again: a lease of a killed instance and a failover, one after the other."""

QUEUE: Final = "{valuation}"
KEYS: Final = (STREAMS[0], f"bull:{QUEUE}:wait", STREAMS[1], STREAMS[2])
"""Keys whose primaries are killed in turn."""

CHANGES: Final = ["come", "come", "go", "die"]
"""What happens to the group while a primary is dead, in any order."""

pytestmark = [pytest.mark.xdist_group("cluster")]


@pytest.fixture
def cluster(binary: ServerBinary) -> Iterator[ClusterLab]:
    """Three primaries with a replica each, all of which have partitions."""
    with ClusterLab(3, 1, binary=binary.path, node_timeout=NODE_TIMEOUT) as cluster:
        assert len({cluster.primary_of(stream).address for stream in STREAMS}) == 3
        yield cluster


@pytest.fixture
async def redis(cluster: ClusterLab) -> AsyncIterator[Redis]:
    """A plain client of the cluster."""
    async with RedisCluster.from_url(cluster.nodes[0].url, socket_timeout=2) as client:
        yield cast("Redis", client)


@pytest.fixture
def group(cluster: ClusterLab, tmp_path: Path) -> Iterator[Group]:
    """A group without instances."""
    group = Group(cluster.url, tmp_path)
    yield group
    group.close()


async def leases_are_held(redis: Any, group: Group) -> bool:
    """Return whether living instances have leases of all partitions that have not run out, on nodes that answer."""
    try:
        for stream in STREAMS:
            owner, end = await redis.hmget(lease_key(stream, GROUP), ["owner", "until"])
            name = (owner or b"").decode().partition(" ")[0]
            if name not in group.alive or int(end) < time.time() * 1000:
                return False
    except (RedisError, OSError):
        return False
    return True


async def test_order_survives_changes_of_the_group_in_a_failover(
    cluster: ClusterLab, redis: Redis, group: Group, size: Size, chance: random.Random, report: Report
) -> None:
    """While a primary is dead, instances come, go and die; each event has one job then, in its partition's order."""
    held = partial(leases_are_held, redis, group)
    took = []
    for _ in range(2):
        group.start()
    await until(held, patience=size.patience)
    async with publishing(cluster.url):
        for number in range(size.kills_amid_changes):
            await asyncio.to_thread(wait_until, lambda: all(map(passes_on, cluster.nodes)), "replicas that are online")
            key = KEYS[number % len(KEYS)]
            primary = cluster.primary_of(key)
            await asyncio.to_thread(primary.kill)
            for how in chance.sample(CHANGES, len(CHANGES)):
                group.change(how, chance)
                await asyncio.sleep(chance.random() / 4)
            changed = time.monotonic()
            await until(held, patience=size.patience)
            took.append(time.monotonic() - changed)
            await asyncio.to_thread(wait_until, partial(has_been_replaced, cluster, key), "a failover")
            primary.start()  # as a replica of the one that took over
    jobs, streams = BullJobs(redis, "bull", QUEUE), await in_the_streams(redis)

    async def all_are_there() -> bool:
        return len(await jobs.ids()) >= sum(map(len, streams))

    await until(all_are_there, patience=size.patience)
    assert_once_and_in_order(await jobs.ids(), streams)
    report(
        f"{len(took)} kills of primaries amid {len(CHANGES)} changes each, {sum(map(len, streams))} events, 0 lost, "
        f"0 twice; all partitions read again after at most {max(took):.1f} s"
    )
    assert max(took) < PROMISED * BEARABLE
