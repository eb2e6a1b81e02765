"""The ways to publish that are compared: coroutine functions that publish so many events and await them all."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from faststream.redis import RedisBroker
from redis.asyncio import Redis

from benchmarks.sample import EVENT_TYPE, channel_for, make_event, peer_event
from domainstream import EventProducer, RedisStreamPublisherClient
from domainstream.event import EventEncoder, read_message

BATCH = 500
TASKS = 50
WINDOWS = 4
CONCURRENT = 1000
HOUR_MS = 3_600_000

Path = Callable[[int], Awaitable[None]]
EVENTS = [make_event(number) for number in range(CONCURRENT)]
ENVELOPES = [read_message(EventEncoder("coding").encode(event)) for event in EVENTS]
PEER_EVENTS = [peer_event(event) for event in EVENTS]
encode = msgspec.json.Encoder().encode


@asynccontextmanager
async def open_paths(url: str) -> AsyncIterator[dict[str, Path]]:
    """Connect every peer to one server and return its paths by name."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(RedisStreamPublisherClient.from_url(url, prefix="ours:"))
        redis = await stack.enter_async_context(Redis.from_url(url))
        broker = await stack.enter_async_context(RedisBroker(url))
        yield {**_ours(client), **_redis_py(redis), **_faststream(broker)}


def _ours(client: RedisStreamPublisherClient) -> dict[str, Path]:
    producer = EventProducer(client, channel_for=channel_for, source="coding")

    async def batches(count: int) -> None:
        for _ in range(0, count, BATCH):
            await producer.publish_many(EVENTS[:BATCH])

    async def windows(count: int) -> None:
        await asyncio.gather(*(batches(count // WINDOWS) for _ in range(WINDOWS)))

    async def concurrent(count: int) -> None:
        for _ in range(0, count, CONCURRENT):
            await asyncio.gather(*(producer.publish(event) for event in EVENTS))

    async def lone(count: int) -> None:
        for number in range(count):
            await producer.publish(EVENTS[number % CONCURRENT])

    return {
        "domainstream batches": batches,
        "domainstream 4 windows": windows,
        "domainstream concurrent": concurrent,
        "domainstream lone": lone,
    }


def _redis_py(redis: Redis) -> dict[str, Path]:
    async def pipeline(count: int) -> None:
        for _ in range(0, count, BATCH):
            oldest = int(time.time() * 1000) - HOUR_MS
            async with redis.pipeline(transaction=False) as pipe:
                for envelope in ENVELOPES[:BATCH]:
                    pipe.xadd(f"redis-py:{EVENT_TYPE}", {"data": encode(envelope)}, minid=oldest)
                await pipe.execute()

    async def windows(count: int) -> None:
        await asyncio.gather(*(pipeline(count // WINDOWS) for _ in range(WINDOWS)))

    async def lone(count: int) -> None:
        for number in range(count):
            await redis.xadd(f"redis-py:{EVENT_TYPE}", {"data": encode(ENVELOPES[number % CONCURRENT])})

    return {"redis-py pipeline": pipeline, "redis-py 4 windows": windows, "redis-py xadd": lone}


def _faststream(broker: RedisBroker) -> dict[str, Path]:
    async def tasks(count: int) -> None:
        numbers = iter(range(count))

        async def publish() -> None:
            for number in numbers:
                await broker.publish(PEER_EVENTS[number % CONCURRENT], stream=f"faststream:{EVENT_TYPE}")

        await asyncio.gather(*(publish() for _ in range(TASKS)))

    return {"FastStream 50 tasks": tasks}


async def publish_windows(url: str, count: int) -> float:
    """Publish batches of four callers at a time; return events per second."""
    async with RedisStreamPublisherClient.from_url(url, prefix="ours:") as client:
        windows = _ours(client)["domainstream 4 windows"]
        await windows(BATCH * WINDOWS)
        started = time.perf_counter()
        await windows(count)
        return count / (time.perf_counter() - started)
