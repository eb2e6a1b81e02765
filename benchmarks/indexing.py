"""What the index of the streams costs publishers and memory, and how fast `trace` is with it."""

import asyncio
import gc
import statistics
import time

from redis.asyncio import Redis

from benchmarks.sample import channel_for, make_event
from domainstream import EventProducer, PublisherSettings, RedisStreamPublisherClient

BATCHES = {1: 3_000, 10: 10_000, 100: 40_000, 500: 50_000}
"""How many events are published in each round, by how many at a time."""

ROUNDS = 9
LOST_RATE = 0.10
BYTES_PER_EVENT = 200


async def measure(url: str) -> tuple[dict[int, list[float]], float]:
    """Return the rate with the index as a part of the rate without, by batch, and the bytes of the index an event."""
    shares: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    events = [make_event(number) for number in range(max(BATCHES))]
    used = 0.0
    async with Redis.from_url(url) as redis:
        for number in range(ROUNDS):
            for batch, count in BATCHES.items():
                rates: dict[bool, float] = {}
                for index in (True, False) if number % 2 else (False, True):
                    settings = PublisherSettings(url=url, index=index)
                    async with RedisStreamPublisherClient.from_settings(settings) as client:
                        producer = EventProducer(client, channel_for=channel_for, source="coding")
                        await producer.publish_many(events[:batch])
                        gc.collect()
                        started = time.perf_counter()
                        for _ in range(0, count, batch):
                            await producer.publish_many(events[:batch])
                        rates[index] = count / (time.perf_counter() - started)
                    if index:
                        used = max(used, await _bytes_per_event(redis))
                    await redis.flushall()
                shares[batch].append(rates[True] / rates[False])
    return shares, used


async def _bytes_per_event(redis: Redis) -> float:
    used, entries = 0, 0
    async for key in redis.scan_iter():
        if b":index" in key:
            used += await redis.memory_usage(key, samples=0) or 0
        elif await redis.type(key) == b"stream":
            entries += await redis.xlen(key)
    return used / entries


def run(url: str) -> bool:
    """Measure and report."""
    shares, used = asyncio.run(measure(url))
    print("\nindex of the streams: events/s with it, as a part of those without (median of the rounds)")
    met = used <= BYTES_PER_EVENT
    for batch, values in shares.items():
        share = statistics.median(values)
        enough = share >= 1 - LOST_RATE
        met = met and enough
        print(f"{f'  in batches of {batch}':56}{share:>10.3f}{1 - LOST_RATE:>10.2f}  {'met' if enough else 'NOT MET'}")
    print(f"{'  bytes of memory an event, at the most':56}{used:>10.0f}{BYTES_PER_EVENT:>10}")
    return met
