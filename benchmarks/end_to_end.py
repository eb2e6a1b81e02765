"""From `publish` to the handler: how long it takes at a steady rate, and how fast a backlog drains.

Ours makes two hops, through a stream and through a queue; FastStream's stream subscriber makes one. Publisher,
subscriber and worker are processes of their own where latency is measured, and one process where draining is.
"""

import asyncio
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import msgspec
from faststream.redis import RedisBroker
from redis.asyncio import Redis

from benchmarks import backlog, draining
from benchmarks.comparison import Comparison, report
from benchmarks.sample import EVENT_TYPE, channel_for, make_event, peer_event
from domainstream import EventProducer, RedisStreamPublisherClient

PER_SECOND = 1_000
SECONDS = 8
ROUNDS = 3
DRAINED, PEER_DRAINED = 20_000, 5_000
WANTED_P50_MS, WANTED_P99_MS, WANTED_P50_RATIO = 3.0, 15.0, 2.0

Publish = Callable[[int], Coroutine[None, None, object]]
Latency = tuple[float, float]
"""The median and the 99th percentile, in milliseconds."""

_read = msgspec.json.Decoder(Latency).decode


@asynccontextmanager
async def child(role: str, url: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run one of the programs of `benchmarks.children`, from when it says that it is ready, and give what it prints."""
    command = [sys.executable, "-m", "benchmarks.children", role, url, str(PER_SECOND * SECONDS)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        output = cast("asyncio.StreamReader", process.stdout)
        await output.readline()
        yield output
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def latency(url: str, publish: Publish, *roles: str) -> Latency:
    """Publish at a steady rate and return what the last of the `roles`, which handles, has measured."""
    async with AsyncExitStack() as stack:
        outputs = [await stack.enter_async_context(child(role, url)) for role in roles]
        tasks: list[asyncio.Task[object]] = []
        started = time.perf_counter()
        for number in range(PER_SECOND * SECONDS):
            await asyncio.sleep(started + number / PER_SECOND - time.perf_counter())
            tasks.append(asyncio.create_task(publish(number)))
        await asyncio.gather(*tasks)
        measured: Latency = _read(await outputs[-1].readline())
        return measured


async def measure_latency(url: str) -> tuple[Latency, Latency]:
    """Return the medians over all rounds: ours, FastStream's."""
    ours, peers = [], []
    async with RedisStreamPublisherClient.from_url(url) as client, RedisBroker(url) as broker, Redis.from_url(url) as r:
        producer = EventProducer(client, channel_for=channel_for, source="coding")
        for _ in range(ROUNDS):
            await r.flushall()
            ours.append(await latency(url, lambda n: producer.publish(make_event(n)), "subscriber", "worker"))
            await r.flushall()
            peers.append(
                await latency(url, lambda n: broker.publish(peer_event(make_event(n)), stream=EVENT_TYPE), "peer")
            )
    return _medians(ours), _medians(peers)


def _medians(found: list[Latency]) -> Latency:
    return statistics.median(p50 for p50, _ in found), statistics.median(p99 for _, p99 in found)


async def measure_draining(url: str) -> dict[str, list[float]]:
    """Return how many events per second each drains from a backlog into handlers that do nothing."""
    rates: dict[str, list[float]] = {"domainstream": [], "FastStream": []}
    async with Redis.from_url(url) as redis:
        for _ in range(ROUNDS):
            await backlog.fill(redis, DRAINED)
            rates["domainstream"].append(await draining.ours(url, DRAINED))
            await draining.fill_peer(url, redis, PEER_DRAINED)
            rates["FastStream"].append(await draining.faststream(url, PEER_DRAINED))
        await redis.flushall()
    return rates


def run(url: str) -> bool:
    """Measure and report."""
    (p50, p99), (peer_p50, peer_p99) = asyncio.run(measure_latency(url))
    met = p50 <= WANTED_P50_MS and p99 <= WANTED_P99_MS and p50 <= WANTED_P50_RATIO * peer_p50
    print(f"\npublish to handler at {PER_SECOND:,} events/s: p50 {p50:.2f} ms, p99 {p99:.2f} ms; ", end="")
    print(f"FastStream {peer_p50:.2f} and {peer_p99:.2f} ms; ratio of the medians {p50 / peer_p50:.2f}", end="")
    print(f"  {'met' if met else 'NOT MET'}")
    return report(asyncio.run(measure_draining(url)), [Comparison("domainstream", "FastStream", 3)]) and met
