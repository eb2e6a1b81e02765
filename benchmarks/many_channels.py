"""500 channels with two events a second each: the processor time of the server, and the time from publish to queue.

The peer is what one writes without wake-ups: one XREADGROUP that blocks on all streams.
"""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

from redis.asyncio import Redis

from benchmarks.comparison import Comparison, report
from domainstream.channel import EventPublisherChannel
from domainstream.queue import BullMQQueue, Job
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue

ROUNDS = 3
CHANNELS, RATE, SECONDS = 500, 1_000, 5
GROUP, QUEUE = "many", "valuation"

_SERVICES = ["coding", "billing", "valuation", "stay", "claim", "report"]
_AGGREGATES = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
_EVENTS = [
    "evaluated",
    "calculated",
    "created",
    "cancelled",
    "approved",
    "rejected",
    "submitted",
    "archived",
    "closed",
    "opened",
]
NAMES = ["_".join(("domain", *parts)) for parts in product(_SERVICES, _AGGREGATES, _EVENTS)][:CHANNELS]
_make_enum: Any = EventPublisherChannel  # whose functional form type checkers do not know
Channel: Any = _make_enum("Channel", {name.upper(): name for name in NAMES})

# The peer neither looks for losses nor lets several instances keep the order.
COMPARISONS = (
    Comparison("per second of server, ours", "per second of server, peer", 1.0),
    Comparison("1 s / p50 to queue, ours", "1 s / p50 to queue, peer", 1.33),
)


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[None]:
    """Run our subscriber."""
    subscriptions = create_multiple_handlers({channel: [to_queue(QUEUE, job="job")] for channel in Channel})
    async with RedisBullMQStreamSubscriber.from_url(url, group=GROUP, subscriptions=subscriptions) as subscriber:
        running = asyncio.create_task(subscriber.run())
        yield
        subscriber.stop()
        await running


@asynccontextmanager
async def one_read(url: str) -> AsyncIterator[None]:
    """Read all streams with one command, add the jobs, acknowledge."""

    async def forward() -> None:
        async with Redis.from_url(url, protocol=2) as redis:
            queue = BullMQQueue.from_url(url)
            while True:
                streams: Any = dict.fromkeys(NAMES, ">")
                reply: Any = await redis.xreadgroup(GROUP, "peer", streams, count=16, block=1_000)
                read = [(name, entry_id, fields) for name, entries in reply for entry_id, fields in entries]
                await queue.add([Job(QUEUE, "job", f"event-{_id(fields)}", fields[b"data"]) for *_, fields in read])
                async with redis.pipeline(transaction=False) as pipe:
                    for name, entry_id, _ in read:
                        pipe.xack(name, GROUP, entry_id)
                    await pipe.execute()

    async with Redis.from_url(url) as redis, redis.pipeline(transaction=False) as pipe:
        for name in NAMES:
            pipe.xgroup_create(name, GROUP, id="0", mkstream=True)
        await pipe.execute()
    running = asyncio.create_task(forward())
    yield
    running.cancel()


async def publish(redis: Redis) -> None:
    """Add events to the streams, each with its time."""
    began, sent = time.time(), 0
    while time.time() - began < SECONDS:
        async with redis.pipeline(transaction=False) as pipe:
            while sent < (time.time() - began) * RATE:
                pipe.xadd(NAMES[sent * 7919 % CHANNELS], {"data": _event(sent)})
                sent += 1
            await pipe.execute()
        await asyncio.sleep(0.001)


async def measure(url: str) -> dict[str, list[float]]:
    """Run both in turn, several times over; return events per second of the server's time, and the inverse of p50."""
    rates: dict[str, list[float]] = {}
    async with Redis.from_url(url) as redis:
        for _ in range(ROUNDS):
            for name, way in (("ours", ours), ("peer", one_read)):
                seconds, delay_ms = await _measure(redis, url, way)
                rates.setdefault(f"per second of server, {name}", []).append(RATE * SECONDS / seconds)
                rates.setdefault(f"1 s / p50 to queue, {name}", []).append(1000 / delay_ms)
        await redis.flushall()
    return rates


async def _measure(redis: Redis, url: str, way: Any) -> tuple[float, float]:
    await redis.flushall()
    async with way(url):
        await asyncio.sleep(2)  # until it has its groups and leases, and waits
        before = await _server_seconds(redis)
        await publish(redis)
        await asyncio.sleep(0.5)
        seconds = await _server_seconds(redis) - before
    delays = []
    async for key in redis.scan_iter(f"bull:{QUEUE}:event-*", count=1_000):
        job: Any = await redis.hmget(key, ["data", "timestamp"])
        data, added = job
        delays.append(int(added) - json.loads(data)["data"]["sent_ms"])
    return seconds, max(0.5, statistics.median(delays))


async def _server_seconds(redis: Redis) -> float:
    info: Any = await redis.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def _event(number: int) -> str:
    name = NAMES[number * 7919 % CHANNELS]
    envelope = {"specversion": "1.0", "source": "/services/coding", "time": "2026-01-01T00:00:00Z", "eventversion": 1}
    more = {"id": f"01a21a61-ef98-703a-845c-{number:012}", "type": name, "subject": "stay-1"}
    return json.dumps({**envelope, **more, "data": {"sent_ms": int(time.time() * 1000)}})


def _id(fields: dict[bytes, bytes]) -> str:
    return str(json.loads(fields[b"data"])["id"])


def run(url: str) -> bool:
    """Measure and report."""
    return report(asyncio.run(measure(url)), COMPARISONS)
