"""On a cluster whose queue gets another primary, jobs of a key are handled in order, and none is lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest
from faults.conftest import Report
from faults.keyed_traffic import QUEUE, Traffic
from faults.ledger import PUBLISHED, Ledger
from faults.scene import Scene
from faults.sizes import Size
from faults.test_cluster_subscribers import cut_off, is_served, kill_primary
from interop.node_process import missing
from redis.asyncio import RedisCluster
from support.consuming import CALCULATED, EVALUATED

from domainstream.testing import ServerBinary
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import wait_until

PREFIX: Final = "a:"
KEY: Final = f"bull:{{{QUEUE}}}:wait"
"""A key of the queue, whose node has no streams."""

pytestmark = [
    pytest.mark.xdist_group("cluster"),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@pytest.fixture
def cluster(binary: ServerBinary) -> Iterator[ClusterLab]:
    """Three primaries with a replica each."""
    with ClusterLab(3, 1, binary=binary.path) as cluster:
        nodes = [cluster.primary_of(key) for key in (f"{PREFIX}{EVALUATED}", f"{PREFIX}{CALCULATED}", KEY)]
        assert nodes[-1] not in nodes[:-1]
        for node in nodes:
            node.wait_for_replicas()
        yield cluster


@pytest.fixture
async def scene(cluster: ClusterLab, ledger: Ledger, size: Size) -> AsyncIterator[Scene]:
    """This cluster without any processes yet."""
    redis: Any = RedisCluster.from_url(cluster.nodes[0].url, socket_timeout=5)
    scene = Scene(cluster, redis, ledger, patience=size.patience, prefix=PREFIX)
    yield scene
    scene.close()
    await redis.aclose()


def fail_over(cluster: ClusterLab) -> None:
    """Let the replica of the queue's primary become the primary, as for maintenance."""
    cluster.fail_over(KEY)
    cluster.wait_ok()


def lose(cluster: ClusterLab) -> None:
    """Kill the queue's primary, whose replica has fallen behind."""
    primary = cluster.primary_of(KEY)
    primary.kill()
    wait_until(partial(is_served, cluster, KEY), "a failover")


async def through(scene: Scene, chance: random.Random, size: Size, faults: list[Callable[[], None]]) -> Traffic:
    """Publish and handle while faults happen; no job is too early, none is lost."""
    async with Traffic(scene, chance) as traffic:
        traffic.subscribe()
        for kind in ("python", "bullmq"):
            await traffic.work(kind)
        operator = await traffic.operator()
        part = size.ordered_events // (len(faults) + 2)
        await traffic.publish(part)
        for fault in faults:
            async with asyncio.TaskGroup() as group:
                group.create_task(traffic.publish(part))
                await scene.noted(PUBLISHED, scene.ledger.count(PUBLISHED) + part // 2)
                group.create_task(asyncio.to_thread(fault))
        # What a queue has lost is noticed when more comes.
        await traffic.publish(part)
        traffic.turns = await traffic.all_done(operator)
    assert (traffic.turns.early, traffic.turns.lost) == ([], set())
    return traffic


async def test_planned_failovers(
    scene: Scene, cluster: ClusterLab, size: Size, chance: random.Random, report: Report
) -> None:
    """The replica of the queue's primary becomes the primary: every job has its turn once it has come."""
    traffic = await through(scene, chance, size, [partial(fail_over, cluster)] * size.planned_failovers)
    report(traffic.verdict(traffic.turns))


async def test_killed_primaries(
    scene: Scene, cluster: ClusterLab, size: Size, chance: random.Random, report: Report
) -> None:
    """The queue's primary is killed: what its replica did not have is added, and handled, again, in order."""
    traffic = await through(scene, chance, size, [partial(kill_primary, cluster, KEY)] * size.planned_failovers)
    report(traffic.verdict(traffic.turns))


async def test_a_replica_that_has_fallen_behind(
    scene: Scene, cluster: ClusterLab, size: Size, chance: random.Random, report: Report
) -> None:
    """The queue's primary is killed when its replica has not had the last jobs: they are added again, in order."""
    cut = partial(cut_off, cluster.primary_of(KEY))
    traffic = await through(scene, chance, size, [cut, partial(lose, cluster)])
    report(traffic.verdict(traffic.turns))
