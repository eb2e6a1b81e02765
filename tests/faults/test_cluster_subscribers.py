"""On a cluster whose primaries die or are replaced, and whose slots move, queues get each event once and in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any, Final

import pytest
from faults.children.protection import Protection
from faults.children.subscriber import QUEUES
from faults.conftest import Report
from faults.ledger import PUBLISHED, UNCERTAIN, Ledger
from faults.publishing import publishing
from faults.scene import Scene, assert_once_and_in_order
from faults.sizes import Size
from redis.asyncio import RedisCluster
from support.consuming import CALCULATED, EVALUATED

from domainstream.testing import ServerBinary
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import LabNode, wait_until

PREFIX: Final = "a:"
STREAM: Final = f"{PREFIX}{CALCULATED}"
"""A stream on a node without queues. The node of the other one has a queue, too."""

QUEUE: Final = f"bull:{{{QUEUES[1]}}}:wait"
"""A queue on a node without streams."""

BOTH: Final = f"{PREFIX}{EVALUATED}"

UNDER_WAY: Final = 200
"""Events between two faults, at least."""

pytestmark = [pytest.mark.xdist_group("cluster")]


@pytest.fixture
def cluster(binary: ServerBinary) -> Iterator[ClusterLab]:
    """Three primaries with a replica each: one has a stream, one a queue, one both."""
    with ClusterLab(3, 1, binary=binary.path) as cluster:
        nodes = [cluster.primary_of(key) for key in (STREAM, QUEUE, BOTH)]
        assert len({node.address for node in nodes}) == len(nodes)
        assert cluster.primary_of(f"bull:{{{QUEUES[0]}}}:wait") is nodes[-1]
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


async def under_way(scene: Scene) -> None:
    """Wait until more events are published, and forwarded."""
    await scene.noted(PUBLISHED, scene.ledger.count(PUBLISHED) + UNDER_WAY)
    await scene.until_waiting(await waiting(scene) + UNDER_WAY)


async def waiting(scene: Scene) -> int:
    """Return how many jobs wait, once the nodes that have them answer."""
    found = -1

    async def answer() -> bool:
        nonlocal found
        found = await scene.waiting()
        return True

    await scene.until(answer)
    return found


async def through(scene: Scene, faults: list[Callable[[], None]], *, forgetful: bool = True) -> None:
    """Publish and forward while faults happen, one after the other; queues that are `forgetful` forget jobs at once."""
    assert isinstance(scene.server, ClusterLab)
    scene.subscriber(lease=2.0)
    async with scene.forgetting() if forgetful else nullcontext():
        async with publishing(scene.server.url, scene.ledger, prefix=PREFIX):
            for fault in faults:
                await under_way(scene)
                await asyncio.to_thread(fault)
            await under_way(scene)
        await scene.until_read()
        await scene.forwarded(scene.ledger.count(PUBLISHED) * 2)
    await assert_once_and_in_order(scene)


def kill_primary(cluster: ClusterLab, key: str) -> None:
    """Kill the primary of a key, and start it again as a replica of the one that takes over."""
    primary = cluster.primary_of(key)
    primary.kill()
    wait_until(partial(is_served, cluster, key), "a failover")
    primary.start()
    cluster.wait_ok()
    for each in (STREAM, QUEUE, BOTH):
        cluster.primary_of(each).wait_for_replicas()


def is_served(cluster: ClusterLab, key: str) -> bool:
    """Return whether a node that answers has a key."""
    try:
        return cluster.primary_of(key).answers
    except LookupError:
        return False


async def test_killed_primaries(scene: Scene, cluster: ClusterLab, size: Size, report: Report) -> None:
    """Primaries of a stream, of a queue and of both are killed, again and again."""
    keys = [(STREAM, QUEUE, BOTH)[number % 3] for number in range(size.primary_kills)]
    await through(scene, [partial(kill_primary, cluster, key) for key in keys])
    published, uncertain = scene.ledger.count(PUBLISHED), scene.ledger.count(UNCERTAIN)
    report(f"{len(keys)} kills, {published} events acknowledged, {uncertain} uncertain, 0 lost, 0 twice")


def suspend_primary(cluster: ClusterLab, key: str) -> None:
    """Suspend the primary of a key until another one has taken over: then it still answers what it was asked."""
    primary = cluster.primary_of(key)
    primary.pause()
    wait_until(partial(is_served, cluster, key), "a failover")
    primary.resume()
    cluster.wait_ok()
    cluster.primary_of(key).wait_for_replicas()


async def test_suspended_primaries(scene: Scene, cluster: ClusterLab, size: Size, report: Report) -> None:
    """The primary of a queue is suspended, and comes back after it was replaced."""
    times = max(1, size.primary_kills // 3)
    await through(scene, [partial(suspend_primary, cluster, QUEUE)] * times)
    report(f"{times} times suspended, {scene.ledger.count(PUBLISHED)} events acknowledged, 0 lost, 0 twice")


async def test_planned_failovers(scene: Scene, cluster: ClusterLab, size: Size, report: Report) -> None:
    """Replicas of a stream's primary, of a queue's and of both become primaries, as for maintenance."""

    def fail_over(key: str) -> None:
        cluster.fail_over(key)
        cluster.wait_ok()

    keys = [STREAM, QUEUE, BOTH] * size.planned_failovers
    await through(scene, [partial(fail_over, key) for key in keys])
    report(f"{len(keys)} planned failovers, {scene.ledger.count(PUBLISHED)} events acknowledged, 0 lost, 0 twice")


@pytest.mark.parametrize("atomic", [False, None], ids=["key by key", "as the server can"])
async def test_moving_slots(
    scene: Scene, cluster: ClusterLab, size: Size, report: Report, *, atomic: bool | None
) -> None:
    """The slots of a stream and of a queue move to another node, and back.

    A server that moves a slot in one step forgets what groups have read meanwhile: then the ids of jobs, which queues
    do not forget at once, keep out repeats.
    """

    def there_and_back(key: str) -> None:
        slot, home = cluster.slot_of(key), cluster.primary_of(key)
        away = cluster.primary_of({STREAM: QUEUE, QUEUE: STREAM}[key])
        for node in (away, home):
            cluster.move_slot(slot, node, atomic=atomic)

    keys = [(STREAM, QUEUE)[number % 2] for number in range(size.slot_moves)]
    await through(scene, [partial(there_and_back, key) for key in keys], forgetful=atomic is False)
    report(f"{len(keys)} slots moved there and back, {scene.ledger.count(PUBLISHED)} events, 0 lost, 0 twice")


def cut_off(primary: LabNode) -> None:
    """Let a primary acknowledge what its replica does not get any more."""
    primary.command("ACL", "SETUSER", "default", "-psync", "-sync", "-replconf")
    primary.command("CLIENT", "KILL", "TYPE", "replica")
    wait_until(lambda: primary.info("replication")["connected_slaves"] == 0, "the end of the replication")


async def lose_jobs(scene: Scene, cluster: ClusterLab, *, restart: bool, without: Protection | None = None) -> None:
    """Kill a queue's primary whose replica has fallen behind; with `restart`, a new owner has come in the meantime."""
    subscriber = scene.subscriber(lease=0.5, without=without)
    await scene.publish(UNDER_WAY)
    await scene.forwarded(UNDER_WAY * 2)
    primary = cluster.primary_of(QUEUE)
    await asyncio.to_thread(cut_off, primary)
    if restart:
        subscriber.kill()
        scene.subscriber(lease=0.5, without=without)
    await scene.publish(UNDER_WAY)
    await scene.forwarded(UNDER_WAY * 4)
    primary.kill()
    await asyncio.to_thread(wait_until, partial(is_served, cluster, QUEUE), "a failover")
    await scene.publish(UNDER_WAY)
    await scene.until_read()


@pytest.mark.parametrize("restart", [False, True], ids=["one owner", "another owner"])
async def test_jobs_that_a_failover_loses_are_added_again(scene: Scene, cluster: ClusterLab, *, restart: bool) -> None:
    """A queue whose primary dies before its replica has the last jobs gets them again, before those that follow."""
    await lose_jobs(scene, cluster, restart=restart)
    await scene.forwarded(UNDER_WAY * 6)
    await assert_once_and_in_order(scene)


async def test_control_jobs_that_a_failover_loses(scene: Scene, cluster: ClusterLab, report: Report) -> None:
    """Control: if nobody compares the queue's mark, these jobs are lost, though their entries are acknowledged."""
    await lose_jobs(scene, cluster, restart=False, without=Protection.COMPARISON)
    lost = UNDER_WAY * 3 - len(await scene.jobs_of(QUEUES[1]))
    report(f"{lost} of {UNDER_WAY * 3} acknowledged events lost")
    assert lost == UNDER_WAY
