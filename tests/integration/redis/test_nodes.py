"""`RedisNodes` sends each command to the node that has its key, also while slots move and primaries change."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from integration.publisher.test_cluster import move, proxied
from redis.asyncio import Redis, RedisCluster
from support.consuming import until

from domainstream.errors import ConfigurationError, ServerUnavailableError
from domainstream.redis.nodes import ClusterNodes, RedisNodes
from domainstream.redis.scripts import Script
from domainstream.testing import ServerBinary, server_binaries
from domainstream.testing.cluster_lab import ClusterLab

pytestmark = pytest.mark.xdist_group("cluster")

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
"""Keys on all three nodes."""

APPEND = Script.of("return redis.call('APPEND', KEYS[1], ARGV[1])")


async def put(nodes: RedisNodes, key: str) -> None:
    """Set a key."""
    await nodes.run(key, lambda redis: redis.set(key, "1"))


async def value(nodes: RedisNodes, key: str) -> Any:
    """Return what a key has."""
    return await nodes.run(key, lambda redis: redis.get(key))


async def test_keys_of_all_nodes(cluster: ClusterLab, stream_prefix: str) -> None:
    """Each key is written at its node, and a search finds those of all nodes."""
    keys = sorted(f"{stream_prefix}{name}" for name in NAMES)
    async with RedisNodes.open(cluster.url) as nodes:
        for key in keys:
            await put(nodes, key)
        assert await nodes.keys_like(stream_prefix, "string") == keys
        assert set(await nodes.each(lambda redis: redis.ping())) == {node.address for node in cluster.nodes}
        assert {await nodes.address_of(key) for key in keys} == {cluster.primary_of(key).address for key in keys}


async def test_slot_that_has_moved(cluster: ClusterLab, stream_prefix: str) -> None:
    """A command follows a slot that moved since the last one; so does a script, which the new node does not know."""
    key = f"{stream_prefix}orders"
    async with RedisNodes.open(cluster.url) as nodes:
        assert await nodes.call(APPEND, [key], "a") == 1
        await move(cluster, key)
        assert await nodes.call(APPEND, [key], "b") == 2
        await move(cluster, key)
        assert await value(nodes, key) == b"ab"


async def test_slot_that_moves(cluster: ClusterLab, stream_prefix: str) -> None:
    """While a slot moves key by key, a command waits instead of failing."""
    key = f"{stream_prefix}orders"
    slot, source = cluster.slot_of(key), cluster.primary_of(key)
    target = next(node for node in cluster.nodes if node is not source)
    names = {node: node.command("CLUSTER", "MYID") for node in (source, target)}
    async with RedisNodes.open(cluster.url) as nodes:
        await put(nodes, f"{stream_prefix}other")
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
        waiting = asyncio.create_task(put(nodes, key))
        await until(lambda: "ask" in str(source.command("INFO", "errorstats")).lower())
        assert not waiting.done()
        await move(cluster, key, atomic=False)
        await waiting
        assert await value(nodes, key) == b"1"


async def test_lost_reply_is_not_repeated(cluster: ClusterLab, stream_prefix: str) -> None:
    """A command whose reply is lost was perhaps run: it fails, and is not run again."""
    key = f"{stream_prefix}orders"
    async with proxied(cluster) as (topology, proxies), RedisNodes.open(topology) as nodes:
        for proxy in proxies:
            proxy.lose_replies_to(b"APPEND", 1)
        with pytest.raises(ServerUnavailableError):
            await nodes.run(key, lambda redis: redis.append(key, "a"))
        assert await value(nodes, key) == b"a"


async def test_node_that_does_not_answer(cluster: ClusterLab, stream_prefix: str) -> None:
    """A frozen node fails its own keys, by its address, and not those of others."""
    keys = [f"{stream_prefix}{name}" for name in NAMES]
    frozen = cluster.primary_of(keys[0])
    other = next(key for key in keys if cluster.primary_of(key) is not frozen)
    async with RedisNodes.open(cluster.url, reply_timeout=timedelta(milliseconds=300)) as nodes:
        await put(nodes, keys[0])
        frozen.pause()
        try:
            with pytest.raises(ServerUnavailableError, match=str(frozen.address)):
                await value(nodes, keys[0])
            await put(nodes, other)
            with pytest.raises(ServerUnavailableError, match=str(frozen.address)):
                await nodes.each(lambda redis: redis.ping())
        finally:
            frozen.resume()
            cluster.wait_ok()


@pytest.mark.parametrize("binary", list(server_binaries()), ids=lambda binary: binary.kind)
async def test_primary_that_is_replaced(binary: ServerBinary, stream_prefix: str) -> None:
    """After a planned failover the next command goes to the new primary, and after a crash it does so in the end."""
    key = f"{stream_prefix}orders"
    with ClusterLab(3, 1, binary=binary.path, node_timeout=timedelta(seconds=1)) as cluster:
        async with RedisNodes.open(cluster.url) as nodes:
            await put(nodes, key)
            cluster.primary_of(key).wait_for_replicas()
            await asyncio.to_thread(cluster.fail_over, key)
            assert await value(nodes, key) == b"1"
            cluster.primary_of(key).wait_for_replicas()
            cluster.primary_of(key).kill()

            async def answers() -> bool:
                try:
                    return bool(await value(nodes, key) == b"1")
                except ServerUnavailableError:
                    return False

            await until(answers)


async def test_client_of_a_cluster_is_refused() -> None:
    """redis-py's client of a cluster repeats what may have been run: the error names the URL to use instead."""
    client: Any = RedisCluster(host="localhost")
    with pytest.raises(ConfigurationError, match="redis\\+cluster://"):
        RedisNodes.of(client)


async def test_client_of_a_single_server_stays_the_callers(redis: Redis, stream_prefix: str) -> None:
    """Nodes of a client use it as it is, and leave it open."""
    async with RedisNodes.of(redis) as nodes:
        await put(nodes, f"{stream_prefix}orders")
        assert RedisNodes.of(nodes) is nodes
        assert not isinstance(nodes, ClusterNodes)
    assert await redis.get(f"{stream_prefix}orders") == b"1"
