"""What the demo asks of the servers that it works on."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from domainstream.errors import ServerUnavailableError
from domainstream.redis.topology import RedisTopology
from domainstream.tools.demo.redis_demo_server import RedisDemoServer

pytestmark = pytest.mark.xdist_group("cluster")

KEYS = ["{run}:domain_stay_closed", "{{{run}:domain_stay_closed}}:lease", "{run}:{{coding}}:wait"]


@pytest.fixture
async def node(cluster_url: str) -> AsyncIterator[Redis]:
    """A client of the cluster's only node."""
    topology = RedisTopology.of(cluster_url)
    async with Redis.from_url(topology.url_of(topology.seeds[0])) as redis:
        yield redis


@pytest.fixture
def run(stream_prefix: str) -> str:
    """The name of the run."""
    return stream_prefix.removesuffix(":")


async def test_run_on_a_cluster_is_forgotten(cluster_url: str, node: Redis, run: str) -> None:
    """All keys of a run are deleted, whatever their slots, and those of others are kept."""
    keys = [key.format(run=run) for key in KEYS]
    for key in (*keys, f"other-{run[5:]}"):
        await node.set(key, "1", ex=60)
    async with aclosing(RedisDemoServer(cluster_url, run)) as server:
        assert await server.forget_run() is None
    assert [await node.exists(key) for key in keys] == [0, 0, 0]
    assert await node.exists(f"other-{run[5:]}") == 1


async def test_streams_of_a_cluster_are_counted(cluster_url: str, node: Redis, run: str) -> None:
    """The lengths of streams in several slots are asked for, and the server has a name."""
    await node.xadd(f"{run}:first", {"data": "1"})
    async with aclosing(RedisDemoServer(cluster_url, run)) as server:
        assert await server.lengths(["first", "second"]) == {"first": 1, "second": 0}
        assert (await server.describe()).startswith(("Valkey ", "Redis "))
    await node.delete(f"{run}:first")


async def test_missing_cluster_is_named() -> None:
    """A cluster that does not answer is named, and what is left there too."""
    async with aclosing(RedisDemoServer("redis+cluster://127.0.0.1:1", "run")) as server:
        with pytest.raises(ServerUnavailableError, match=r"cannot use the server at cluster at 127\.0\.0\.1:1"):
            await server.describe()
        assert "keys with run may be left at cluster at 127.0.0.1:1" in str(await server.forget_run())
