"""Maintenance on a cluster of three nodes: each stream at its node."""

from datetime import timedelta

import pytest

from domainstream import Retention
from domainstream.errors import ConfigurationError, ServerUnavailableError
from domainstream.redis.nodes import RedisNodes
from domainstream.stream import RedisStreamTrimmer, check_eviction, check_eviction_at
from domainstream.testing.cluster_lab import ClusterLab

pytestmark = pytest.mark.xdist_group("cluster")

CHANNELS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
"""Channels whose streams lie on all three nodes."""

RETENTION = Retention(max_length=10)


def fill(cluster: ClusterLab, prefix: str) -> None:
    """Add twenty entries to each channel."""
    for channel in CHANNELS:
        node = cluster.primary_of(prefix + channel)
        for _ in range(20):
            node.command("XADD", prefix + channel, "*", "data", "x")


def lengths(cluster: ClusterLab, prefix: str) -> dict[str, int]:
    """Return how many entries the channels of the nodes that answer have."""
    owners = {channel: cluster.primary_of(prefix + channel) for channel in CHANNELS}
    return {channel: node.command("XLEN", prefix + channel) for channel, node in owners.items() if node.answers}


async def test_streams_of_all_nodes_are_trimmed(cluster: ClusterLab, stream_prefix: str) -> None:
    """One trimmer trims the streams of all nodes, each by the clock and in the slot of its own."""
    fill(cluster, stream_prefix)
    trimmer = RedisStreamTrimmer.from_url(cluster.url, CHANNELS, retention=RETENTION, prefix=stream_prefix)
    await trimmer.run_once()
    await trimmer.close()
    assert set(lengths(cluster, stream_prefix).values()) == {10}


async def test_node_that_does_not_answer_holds_up_no_other(cluster: ClusterLab, stream_prefix: str) -> None:
    """Streams of the other nodes are trimmed; the round then fails with the node that did not answer."""
    fill(cluster, stream_prefix)
    frozen = cluster.primary_of(stream_prefix + CHANNELS[0])
    others = [channel for channel in CHANNELS if cluster.primary_of(stream_prefix + channel) is not frozen]
    async with RedisNodes.open(cluster.url, reply_timeout=timedelta(milliseconds=300)) as nodes:
        trimmer = RedisStreamTrimmer(nodes, CHANNELS, retention=RETENTION, prefix=stream_prefix)
        frozen.pause()
        try:
            with pytest.raises(ServerUnavailableError, match=str(frozen.address)):
                await trimmer.run_once()
        finally:
            frozen.resume()
            cluster.wait_ok()
    after = lengths(cluster, stream_prefix)
    assert {after[channel] for channel in others} == {10}


async def test_one_node_that_evicts_is_enough(cluster: ClusterLab) -> None:
    """Every primary must keep what it has: the error names the one that does not."""
    await check_eviction_at(cluster.url)
    odd = cluster.nodes[1]
    odd.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ConfigurationError, match=f"The server at {odd.address} cannot be used"):
            await check_eviction_at(cluster.url)
        async with RedisNodes.open(cluster.url) as nodes:
            with pytest.raises(ConfigurationError, match="allkeys-lru"):
                await check_eviction(nodes)
    finally:
        odd.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
