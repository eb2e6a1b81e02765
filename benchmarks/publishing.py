"""How fast events get into Redis: ratios against peers with the same events, on the same server, in the same run."""

import asyncio
import gc
import statistics
import time
from typing import NamedTuple

from redis.asyncio import Redis

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


class Comparison(NamedTuple):
    """What is wanted of one of our paths against a peer's.

    Attributes:
        ours: The name of our path.

        peer: The name of the peer's path.

        wanted: How many times the peer's events per second, at the least.
    """

    ours: str
    peer: str
    wanted: float


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
                rates[name].append(await _rate(path, EVENTS[name]))
                await redis.flushall()
    return rates


async def _rate(path: Path, count: int) -> float:
    started = time.perf_counter()
    await path(count)
    return count / (time.perf_counter() - started)


def report(rates: dict[str, list[float]]) -> bool:
    """Print the medians and the ratios, and tell whether every wanted ratio was reached."""
    print(f"{'path':28}{'events/s (median)':>20}{'lowest':>12}{'highest':>12}")
    for name, values in rates.items():
        print(f"{name:28}{statistics.median(values):>20,.0f}{min(values):>12,.0f}{max(values):>12,.0f}")
    print(f"\n{'ratio (median of the rounds)':56}{'measured':>10}{'wanted':>10}")
    met = [_ratio(rates, comparison) for comparison in COMPARISONS]
    return all(met)


def _ratio(rates: dict[str, list[float]], comparison: Comparison) -> bool:
    pairs = zip(rates[comparison.ours], rates[comparison.peer], strict=True)
    measured = statistics.median(ours / peer for ours, peer in pairs)
    met = "met" if measured >= comparison.wanted else "NOT MET"
    print(f"{comparison.ours + ' / ' + comparison.peer:56}{measured:>10.2f}{comparison.wanted:>10.2f}  {met}")
    return measured >= comparison.wanted


def run(url: str) -> bool:
    """Measure and report."""
    return report(asyncio.run(measure(url)))
