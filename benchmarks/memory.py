"""Whether memory stays flat over a million events: the publisher's own, and what the server remembers of producers."""

import asyncio
from pathlib import Path

from redis.asyncio import Redis

from benchmarks.sample import channel_for, make_event
from domainstream import EventProducer, RedisStreamPublisherClient, Retention

EVENTS = 1_000_000
BATCH = 500
WARM_UP = 100_000
ALLOWED_GROWTH_MB = 5.0


async def measure(url: str) -> tuple[float, float, int]:
    """Return the process's MB after the warm-up and at the end, and the keys of producers."""
    retention = Retention(max_length=10_000)
    async with Redis.from_url(url) as redis, RedisStreamPublisherClient.from_url(url, retention=retention) as client:
        producer = EventProducer(client, channel_for=channel_for, source="coding")
        warm = 0.0
        for start in range(0, EVENTS, BATCH):
            if start == WARM_UP:
                warm = resident_mb()
            await producer.publish_many([make_event(number) for number in range(start, start + BATCH)])
        return warm, resident_mb(), len(await redis.keys("*:producer:*"))


def resident_mb() -> float:
    """Return this process's resident memory in MB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def run(url: str) -> bool:
    """Measure and report."""
    warm, end, keys = asyncio.run(measure(url))
    met = end - warm < ALLOWED_GROWTH_MB and keys == 1
    print(f"\nmemory over {EVENTS:,} events: {warm:.1f} MB after {WARM_UP:,}, {end:.1f} MB at the end; ", end="")
    print(f"the server remembers {keys} key for 1 producer  {'met' if met else 'NOT MET'}")
    return met
