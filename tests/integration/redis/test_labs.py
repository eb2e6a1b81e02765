"""The labs start servers that work together, and everything that a test of failovers does to them works."""

import os
import signal
from collections.abc import Iterator
from datetime import timedelta

import pytest

from domainstream.errors import ServerIsClusterError, ServerRefusedError, ServerUnavailableError
from domainstream.redis.topology import RedisTopology, TopologyKind
from domainstream.testing import ServerBinary, server_binaries
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.sentinel_lab import SentinelLab
from domainstream.testing.server_lab import LabNode, wait_until

BINARIES = server_binaries()
KEY = "domain_thing_done"

pytestmark = pytest.mark.xdist_group("labs")


@pytest.fixture(scope="module", params=BINARIES, ids=[binary.kind for binary in BINARIES])
def cluster(request: pytest.FixtureRequest) -> Iterator[ClusterLab]:
    """Three primaries with a replica each."""
    binary: ServerBinary = request.param
    with ClusterLab(3, 1, binary=binary.path) as cluster:
        yield cluster


@pytest.fixture
def sentinels() -> Iterator[SentinelLab]:
    """A primary, two replicas and three sentinels."""
    with SentinelLab() as lab:
        yield lab


def other_primary(cluster: ClusterLab) -> LabNode:
    """Return a primary that does not have `KEY`."""
    keys = (f"key-{number}" for number in range(1000))
    return next(node for key in keys if (node := cluster.primary_of(key)) is not cluster.primary_of(KEY))


def has_been_replaced(cluster: ClusterLab, node: LabNode) -> bool:
    """Return whether somebody else has `KEY` now."""
    try:
        return cluster.primary_of(KEY) is not node
    except LookupError:
        return False


def test_url_names_every_node(cluster: ClusterLab) -> None:
    """The URL of the lab is one that every part of the system takes."""
    topology = RedisTopology.of(cluster.url)

    assert topology.kind is TopologyKind.CLUSTER
    assert topology.seeds == tuple(node.address for node in cluster.nodes)
    assert len(cluster.nodes) == 6


def test_key_lies_at_one_node(cluster: ClusterLab) -> None:
    """`primary_of` is the only node that takes a write of the key."""
    primary = cluster.primary_of(KEY)

    assert primary.command("SET", KEY, "value") == "OK"
    for node in (other_primary(cluster), cluster.replica_of(primary)):
        with pytest.raises(ServerIsClusterError):
            node.command("SET", KEY, "value")


@pytest.mark.parametrize("atomic", [None, False])
def test_slot_moves_there_and_back(cluster: ClusterLab, *, atomic: bool | None) -> None:
    """A slot moves with its keys, in one step where the server can, and key by key everywhere."""
    source, target, slot = cluster.primary_of(KEY), other_primary(cluster), cluster.slot_of(KEY)
    for number in range(3):
        source.command("SET", f"{{{KEY}}}:{number}", number)
    count = source.command("CLUSTER", "COUNTKEYSINSLOT", slot)

    for to in (target, source):
        cluster.move_slot(slot, to, atomic=atomic, pause=timedelta(milliseconds=1))
        assert cluster.primary_of(KEY) is to
        assert to.command("CLUSTER", "COUNTKEYSINSLOT", slot) == count
        cluster.wait_ok()


def test_move_in_one_step_may_be_asked_for(cluster: ClusterLab) -> None:
    """A server that cannot says so, instead of moving key by key."""
    source, target, slot = cluster.primary_of(KEY), other_primary(cluster), cluster.slot_of(KEY)
    if "valkey" in source.info("server").get("server_name", "redis"):
        cluster.move_slot(slot, target, atomic=True)
        cluster.move_slot(slot, source, atomic=True)
    else:
        with pytest.raises(ServerRefusedError, match="MIGRATESLOTS"):
            cluster.move_slot(slot, target, atomic=True)
    assert cluster.primary_of(KEY) is source


def test_planned_failover_makes_the_replica_the_primary(cluster: ClusterLab) -> None:
    """`fail_over` exchanges a primary and its replica."""
    before = cluster.primary_of(KEY)
    replica = cluster.replica_of(before)

    assert cluster.fail_over(KEY) is replica
    cluster.wait_ok()
    assert cluster.replica_of(replica) is before


def test_killed_primary_is_replaced_and_returns_as_a_replica(cluster: ClusterLab) -> None:
    """The cluster fails over by itself, and a node that is started again follows its successor."""
    primary = cluster.primary_of(KEY)
    primary.kill()
    assert primary.pid is None
    with pytest.raises(ServerUnavailableError):
        primary.command("PING")

    wait_until(lambda: has_been_replaced(cluster, primary), "a failover")
    primary.start()
    cluster.wait_ok()

    assert cluster.replica_of(cluster.primary_of(KEY)) is primary


def test_paused_node_answers_after_it_is_resumed() -> None:
    """A paused node is alive and silent; resumed, it goes on."""
    with ClusterLab(1, 0) as cluster:
        node = cluster.nodes[0]
        node.pause()
        assert not node.answers
        assert node.pid
        os.kill(node.pid, 0)
        node.resume()
        assert node.command("PING") == "PONG"


def test_lab_leaves_no_process_behind() -> None:
    """Stopping ends every node, also a paused one."""
    with ClusterLab(1, 1) as cluster:
        pids = [node.pid for node in cluster.nodes]
        cluster.nodes[1].pause()

    assert [node.pid for node in cluster.nodes] == [None, None]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid or 0, signal.SIGCONT)


def test_sentinels_replace_a_killed_primary(sentinels: SentinelLab) -> None:
    """The URL names the sentinels, which name a new primary after the old one has died."""
    topology = RedisTopology.of(sentinels.url)
    assert (topology.kind, topology.primary_name) == (TopologyKind.SENTINEL, "mymaster")
    assert topology.seeds == tuple(node.address for node in sentinels.sentinels)
    primary = sentinels.primary()

    primary.kill()
    successor = sentinels.wait_for_another(primary)
    assert successor.command("SET", KEY, "value") == "OK"
    primary.start()
    sentinels.wait_ok()

    assert sentinels.primary() is not primary
    assert primary.info("replication")["role"] == "slave"


def test_planned_failover_leaves_the_old_primary_writable(sentinels: SentinelLab) -> None:
    """Sentinels name the new primary while the old one still takes writes: the case that clients must survive."""
    primary = sentinels.primary()

    assert sentinels.fail_over() is not primary
    assert primary.command("SET", KEY, "stale") == "OK"
