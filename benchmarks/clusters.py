"""What a cluster costs beside a single server: the same events, the same server program, one primary."""

import asyncio

from redis.asyncio import Redis

from benchmarks import backlog
from benchmarks.comparison import Comparison, report
from benchmarks.paths import publish_windows
from domainstream.testing import find_server
from domainstream.testing.cluster_lab import ClusterLab

ROUNDS = 5
PUBLISHED, FORWARDED = 50_000, 30_000
QUEUES = ["valuation", "billing"]

COMPARISONS = (
    Comparison("publish, cluster", "publish, server", 0.8),
    Comparison("forward, cluster", "forward, server", 0.9),
)


async def measure(server_url: str, cluster_url: str, primary_url: str) -> dict[str, list[float]]:
    """Publish and forward on both in turn, several times over; return the rates in events per second."""
    rates: dict[str, list[float]] = {}
    async with Redis.from_url(server_url) as server, Redis.from_url(primary_url) as primary:
        for _ in range(ROUNDS):
            for name, url, redis in (("cluster", cluster_url, primary), ("server", server_url, server)):
                await redis.flushall()
                rates.setdefault(f"publish, {name}", []).append(await publish_windows(url, PUBLISHED))
                await backlog.fill(redis, FORWARDED)
                rates.setdefault(f"forward, {name}", []).append(await backlog.ours(url, QUEUES, FORWARDED))
        await server.flushall()
    return rates


def run() -> bool:
    """Measure and report."""
    with find_server() as server, ClusterLab(1, 0) as lab:
        primary = lab.nodes[0].address
        return report(asyncio.run(measure(server.url, lab.url, f"redis://{primary.host}:{primary.port}")), COMPARISONS)
