"""How fast events get into Redis: ratios against peers with the same events, on the same server, in the same run."""

import asyncio
import gc
import time

from redis.asyncio import Redis

from benchmarks.comparison import Comparison, report
from benchmarks.paths import Path, open_paths

ROUNDS = 7
EVENTS = {
    "domainstream batches": 50_000,
    "domainstream 4 windows": 50_000,
    "domainstream concurrent": 20_000,
    "domainstream lone": 3_000,
    "redis-py pipeline": 20_000,
    "redis-py 4 windows": 20_000,
    "redis-py xadd": 3_000,
    "FastStream 50 tasks": 5_000,
}


# "4 windows": four callers at a time, each awaiting its own batches of 500.
COMPARISONS = (
    Comparison("domainstream batches", "redis-py pipeline", 4),
    Comparison("domainstream 4 windows", "redis-py 4 windows", 4),
    Comparison("domainstream batches", "FastStream 50 tasks", 15),
    Comparison("domainstream concurrent", "FastStream 50 tasks", 8),
    Comparison("domainstream lone", "redis-py xadd", 1 / 1.5),
)


async def measure(url: str) -> dict[str, list[float]]:
    """Run every path in turn, several times over, and return its rates in events per second."""
    rates: dict[str, list[float]] = {name: [] for name in EVENTS}
    async with Redis.from_url(url) as redis, open_paths(url) as paths:
        for name, path in paths.items():
            await path(EVENTS[name] // 5)
        # What the imports of all peers left on the heap would otherwise be scanned during everybody's rounds.
        gc.collect()
        gc.freeze()
        for _ in range(ROUNDS):
            for name, path in paths.items():
                rates[name].append(await rate(path, EVENTS[name]))
                await redis.flushall()
    return rates


async def rate(path: Path, count: int) -> float:
    """Return how many events per second a path publishes."""
    started = time.perf_counter()
    await path(count)
    return count / (time.perf_counter() - started)


def run(url: str) -> bool:
    """Measure and report."""
    return report(asyncio.run(measure(url)), COMPARISONS)
