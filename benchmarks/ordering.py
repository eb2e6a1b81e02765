"""What order costs: jobs that are added and handled in the order of their keys, beside jobs without order."""

import asyncio
import statistics
from collections.abc import Callable

from redis.asyncio import Redis

from benchmarks import backlog, node_peers, working
from benchmarks.comparison import Comparison, report
from domainstream.event import EventMessage

ROUNDS = 5
EVENTS = working.JOBS
KEYS = 1_000
CONCURRENCY = 50

OrderBy = Callable[[EventMessage], str]


def of_keys(count: int) -> OrderBy:
    """Return what orders the events of a backlog by `count` keys, which take turns."""
    return lambda message: str(int(message.subject.removeprefix("opt-")) % count)


PATHS: dict[str, OrderBy | None] = {
    "no order": None,
    "all keys differ": of_keys(EVENTS),
    f"{KEYS:,} keys": of_keys(KEYS),
    "one key": of_keys(1),
}
ADDED = [
    Comparison("added, all keys differ", "added, no order", 0.6),
    Comparison(f"added, {KEYS:,} keys", "added, no order", 0.6),
]
HANDLED = [
    Comparison(f"{worker}, {KEYS:,} keys", f"{worker}, no order", 0.7) for worker in ("handled", "handled by Node")
]


async def measure(url: str) -> dict[str, list[float]]:
    """Add and handle a backlog in each way in turn, several times; return the rates per second."""
    workers = {"handled": working.ours}
    if not node_peers.missing():
        workers["handled by Node"] = working.nodes
    rates: dict[str, list[float]] = {}
    async with Redis.from_url(url) as redis:
        for _ in range(ROUNDS):
            for worker, handle in workers.items():
                for path, order_by in PATHS.items():
                    await backlog.fill(redis, EVENTS)
                    rate = await backlog.ours(url, [working.QUEUE], EVENTS, order_by=order_by)
                    rates.setdefault(f"added, {path}", []).append(rate)
                    rates.setdefault(f"{worker}, {path}", []).append(await handle(url, CONCURRENCY))
        await redis.flushall()
    return rates


def run(url: str) -> bool:
    """Measure and report."""
    print(f"\njobs in order; handlers do nothing, {CONCURRENCY} at a time")
    rates = asyncio.run(measure(url))
    comparisons = [*ADDED, *(comparison for comparison in HANDLED if comparison.ours in rates)]
    met = report(rates, comparisons, unit="jobs/s")
    print(f"\nThe jobs of one key: {statistics.median(rates['handled, one key']):,.0f} a second at most.")
    return met
