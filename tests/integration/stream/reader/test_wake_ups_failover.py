"""Wake-ups come from whichever server has a stream: after failovers, and while slots move in a cluster."""

import asyncio
from collections.abc import Iterator
from typing import Final

import pytest
from support.consuming import PATIENCE, until
from support.waking import NEVER, add, awake, heard_at, is_heard

from domainstream.stream.reader import wake_ups as module
from domainstream.stream.reader.wake_ups import WakeUps
from domainstream.testing import ServerBinary, server_binaries
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.sentinel_lab import SentinelLab

BINARIES: Final = server_binaries()
IDS: Final = [binary.kind for binary in BINARIES]
KEYS: Final = ("domain_alpha", "domain_beta", "domain_gamma", "domain_delta", "domain_epsilon", "domain_zeta")
"""Streams that lie on all three nodes."""

pytestmark = pytest.mark.xdist_group("labs")


@pytest.fixture(params=BINARIES, ids=IDS)
def replicated(request: pytest.FixtureRequest) -> Iterator[ClusterLab]:
    """Three primaries of one test, each with a replica."""
    binary: ServerBinary = request.param
    with ClusterLab(3, 1, binary=binary.path) as lab:
        yield lab


@pytest.fixture(params=BINARIES, ids=IDS)
def sentinels(request: pytest.FixtureRequest) -> Iterator[SentinelLab]:
    """Servers of one test, one of which the sentinels name."""
    binary: ServerBinary = request.param
    with SentinelLab(replicas=1, binary=binary.path) as lab:
        yield lab


async def test_each_stream_of_a_cluster_wakes(cluster: ClusterLab) -> None:
    """Each at the node that has it, over one connection to each."""
    async with awake(cluster.url, KEYS) as wake_ups:
        await heard_at(wake_ups, *cluster.nodes)
        for key in KEYS:
            await add(cluster.primary_of(key), key)
            assert await wake_ups.wait(PATIENCE) == {key}


async def test_slot_that_moved_is_heard_at_its_new_node(cluster: ClusterLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while nobody has learned that it moved."""
    monkeypatch.setattr(module, "REFRESH_INTERVAL", NEVER.total_seconds())
    key = KEYS[0]
    async with awake(cluster.url, KEYS) as wake_ups:
        await heard_at(wake_ups, *cluster.nodes)
        to = next(node for node in cluster.nodes if node is not cluster.primary_of(key))
        await asyncio.to_thread(cluster.move_slot, cluster.slot_of(key), to)
        await heard_at(wake_ups, to)
        await add(to, key)
        assert await wake_ups.wait(PATIENCE) == {key}


async def test_change_of_the_map_wakes_all(cluster: ClusterLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was added before the new node was listened to may not have been heard."""
    monkeypatch.setattr(module, "REFRESH_INTERVAL", 0.05)
    async with awake(cluster.url, KEYS) as wake_ups:
        await heard_at(wake_ups, *cluster.nodes)
        to = next(node for node in cluster.nodes if node is not cluster.primary_of(KEYS[0]))
        await asyncio.to_thread(cluster.move_slot, cluster.slot_of(KEYS[0]), to)
        await until(lambda: _wakes(wake_ups, KEYS[1]))


async def test_new_primary_is_heard_after_a_crash(replicated: ClusterLab) -> None:
    """The listener whose node is dead asks the others for its successor."""
    key = KEYS[0]
    async with awake(replicated.url, KEYS) as wake_ups:
        old = replicated.primary_of(key)
        new = replicated.replica_of(old)
        await heard_at(wake_ups, old)
        old.kill()
        await heard_at(wake_ups, new)
        await asyncio.to_thread(replicated.wait_ok)
        await add(new, key)
        assert await wake_ups.wait(PATIENCE) == {key}


async def test_new_primary_is_heard_once_the_map_names_it(
    replicated: ClusterLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a planned failover nothing breaks off: until then, the old one wakes for what it replicates."""
    monkeypatch.setattr(module, "REFRESH_INTERVAL", NEVER.total_seconds())
    key = KEYS[0]
    async with awake(replicated.url, KEYS) as wake_ups:
        old = replicated.primary_of(key)
        await heard_at(wake_ups, old)
        new = await asyncio.to_thread(replicated.fail_over, key)
        await add(new, key)
        await until(lambda: _wakes(wake_ups, key))

        wake_ups._is_map_doubted.set()
        await heard_at(wake_ups, new)
        await until(lambda: not is_heard(old))
        await add(new, key)
        assert await wake_ups.wait(PATIENCE) == {key}


async def _wakes(wake_ups: WakeUps, key: str) -> bool:
    return key in await wake_ups.wait(PATIENCE)


async def test_primary_that_the_sentinels_name_is_heard(sentinels: SentinelLab) -> None:
    """Not the one that was replaced, although it still takes writes."""
    async with awake(sentinels.url, KEYS) as wake_ups:
        old = sentinels.primary()
        new = await asyncio.to_thread(sentinels.fail_over)
        await heard_at(wake_ups, new)
        assert not is_heard(old)
        await add(new, KEYS[0])
        assert await wake_ups.wait(PATIENCE) == {KEYS[0]}
