"""What the index of the streams costs: the rate of a publisher with it, as a part of that without, and memory.

One caller waits for each batch, so what a batch takes is the processor time of client and server, one after the other.
That is compared, because it hardly depends on what else the machine does.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Sequence

from redis.asyncio import Redis

from benchmarks.sample import OptimizationEvaluated, channel_for, make_event
from domainstream import EventProducer, PublisherSettings, RedisStreamPublisherClient

BATCHES = {1: 3_000, 10: 10_000, 100: 50_000, 500: 50_000}
"""How many events are published in each round, by how many at a time."""

ROUNDS = 15
LOST_RATE = 0.10
BYTES_PER_EVENT = 200


async def measure(url: str) -> tuple[dict[int, list[float]], dict[int, float]]:
    """Return the rates with the index as parts of those without, and its bytes of memory an event, each by batch."""
    shares: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    used: dict[int, float] = {}
    events = [make_event(number) for number in range(max(BATCHES))]
    async with Redis.from_url(url) as redis:
        for number in range(ROUNDS):
            for batch, count in BATCHES.items():
                seconds: dict[bool, float] = {}
                for index in (True, False) if number % 2 else (False, True):
                    await redis.flushall()
                    settings = PublisherSettings(url=url, index=index)
                    seconds[index] = await _publish(redis, settings, events[:batch], count)
                    if index:
                        used[batch] = await _bytes_per_event(redis)
                shares[batch].append(seconds[False] / seconds[True])
        await redis.flushall()
    return shares, used


async def _publish(
    redis: Redis, settings: PublisherSettings, batch: Sequence[OptimizationEvaluated], count: int
) -> float:
    """Publish `count` events in batches; return the seconds of processor time that this took."""
    async with RedisStreamPublisherClient.from_settings(settings) as client:
        producer = EventProducer(client, channel_for=channel_for, source="coding")
        await producer.publish_many(batch)
        gc.collect()
        began = time.process_time() + await _server_seconds(redis)
        for _ in range(0, count, len(batch)):
            await producer.publish_many(batch)
        return time.process_time() + await _server_seconds(redis) - began


async def _server_seconds(redis: Redis) -> float:
    used = await redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


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
    print(f"\n{'index of the streams, in batches of':40}{'bytes an event':>15}{'rate':>10}{'lowest':>10}{'wanted':>10}")
    met = True
    for batch, values in shares.items():
        share = statistics.median(values)
        enough = share >= 1 - LOST_RATE and used[batch] <= BYTES_PER_EVENT
        met = met and enough
        print(f"{batch:<40}{used[batch]:>15.0f}{share:>10.3f}{min(values):>10.3f}{1 - LOST_RATE:>10.2f}", end="  ")
        print("met" if enough else "NOT MET")
    return met
