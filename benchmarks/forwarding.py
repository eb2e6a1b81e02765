"""How fast a backlog gets from its stream into queues, whether a large one slows it, and what memory it takes."""

import asyncio
import statistics

from redis.asyncio import Redis

from benchmarks import backlog
from benchmarks.comparison import Comparison, report
from benchmarks.memory import resident_mb

ROUNDS = 5
OURS, PEERS = 60_000, 20_000
SMALL, LARGE = 10_000, 1_000_000
ALLOWED_DIFFERENCE = 0.15
ALLOWED_MB = 150.0

QUEUES = {"one queue": ["valuation"], "two queues": ["valuation", "billing"]}
COMPARISONS = [
    Comparison(f"domainstream, {queues}", f"{peer}, {queues}", wanted)
    for queues in QUEUES
    for peer, wanted in (("Python addBulk", 2.5), ("Node addBulk", 2.0))
]


async def measure(url: str) -> dict[str, list[float]]:
    """Run every path in turn, several times over, and return its rates in events per second."""
    rates: dict[str, list[float]] = {}
    async with Redis.from_url(url) as redis:
        for _ in range(ROUNDS):
            for name, queues in QUEUES.items():
                for path, carry, count in (
                    ("domainstream", backlog.ours, OURS),
                    ("Python addBulk", backlog.python_bulk, PEERS),
                    ("Node addBulk", backlog.node_bulk, PEERS),
                ):
                    await backlog.fill(redis, count)
                    rates.setdefault(f"{path}, {name}", []).append(await carry(url, queues, count))
        await redis.flushall()
    return rates


async def measure_sizes(url: str) -> tuple[float, float, float]:
    """Return the rate of a small backlog and of a large one, and the most memory in MB that this process then has."""
    small = []
    async with Redis.from_url(url) as redis:
        for _ in range(ROUNDS):
            await backlog.fill(redis, SMALL)
            small.append(await backlog.ours(url, ["valuation"], SMALL))
        await backlog.fill(redis, LARGE)
        large = await backlog.ours(url, ["valuation"], LARGE)
        await redis.flushall()
    return statistics.median(small), large, resident_mb()


def run(url: str) -> bool:
    """Measure and report."""
    met = report(asyncio.run(measure(url)), COMPARISONS)
    small, large, memory = asyncio.run(measure_sizes(url))
    same = abs(large / small - 1) <= ALLOWED_DIFFERENCE and memory <= ALLOWED_MB
    print(
        f"\nbacklog of {LARGE:,}: {large:,.0f} events/s, of {SMALL:,}: {small:,.0f} ({large / small - 1:+.0%}); ",
        end="",
    )
    print(f"{memory:.0f} MB at the end  {'met' if same else 'NOT MET'}")
    return met and same
