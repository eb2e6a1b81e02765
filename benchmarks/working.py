"""How fast our worker and Node's `Worker` handle the same jobs on the same server, with handlers that do nothing."""

import asyncio
import gc
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

from redis.asyncio import Redis

from benchmarks import node_peers
from benchmarks.comparison import Comparison, report
from benchmarks.sample import EVENT_TYPE, OptimizationEvaluated, make_event
from domainstream.event import EventEncoder, read_message
from domainstream.queue import BullMQQueue, Job, job_data
from domainstream.stream import Delivery
from domainstream.worker import EventConsumer, EventContext, EventWorker

QUEUE = "valuation"
JOBS = 10_000
WARM_UP = JOBS // 10
BATCH = 1_000
ROUNDS = 3
CONCURRENCIES = (10, 50)


async def fill(url: str) -> None:
    """Empty the server and add the jobs to the queue."""
    async with Redis.from_url(url) as redis:
        await redis.flushall()
    data = EventEncoder("coding").encode(make_event(0))
    data = job_data(Delivery(EVENT_TYPE, "1700000000123-0", data), read_message(data))
    queue = BullMQQueue.from_url(url)
    for start in range(0, JOBS, BATCH):
        await queue.add([Job(QUEUE, "price-stay", f"event-{number}", data) for number in range(start, start + BATCH)])
    await queue.close()


async def ours(url: str, concurrency: int) -> float:
    """Handle all jobs with our worker; return jobs per second after the warm-up."""
    consumer, handled, started, done = EventConsumer(QUEUE), 0, 0.0, asyncio.Event()

    @consumer.on(OptimizationEvaluated)
    async def handle(_: OptimizationEvaluated, __: EventContext) -> None:
        nonlocal handled, started
        handled += 1
        if handled == WARM_UP:
            started = time.perf_counter()
        elif handled == JOBS:
            done.set()

    async with EventWorker.from_url(url, consumer, concurrency=concurrency) as worker:
        running = asyncio.create_task(worker.run())
        await done.wait()
        seconds = time.perf_counter() - started
        worker.stop()
        await running
    return (JOBS - WARM_UP) / seconds


async def nodes(url: str, concurrency: int) -> float:
    """Handle all jobs with Node's worker; return jobs per second after the warm-up."""
    return (await node_peers.run_worker(url, queue=QUEUE, count=JOBS, concurrency=concurrency, warm_up=WARM_UP)).rate


@asynccontextmanager
async def delayed(url: str) -> AsyncIterator[str]:
    """Put a proxy in front of a server that delays each request by a millisecond."""
    where = urlsplit(url)
    program = [sys.executable, "-m", "benchmarks.delaying_proxy", str(where.hostname), str(where.port)]
    process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stdout=PIPE)
    try:
        port = int(await cast("asyncio.StreamReader", process.stdout).readline())
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def measure(url: str) -> dict[str, list[float]]:
    """Run both workers in turn, with and without the delay, several times; return their rates in jobs per second."""
    rates: dict[str, list[float]] = {}
    gc.collect()
    gc.freeze()
    async with delayed(url) as far:
        for _ in range(ROUNDS):
            for place, way in {"": url, ", 1 ms": far}.items():
                for concurrency in CONCURRENCIES:
                    for name, path in {"domainstream": ours, "Node": nodes}.items():
                        await fill(url)
                        rate = await path(way, concurrency)
                        rates.setdefault(f"{name} {concurrency}{place}", []).append(rate)
    return rates


def run(url: str) -> bool:
    """Measure and report."""
    print("\nworkers, handlers that do nothing; the number is how many run at a time")
    if problem := node_peers.missing():
        print(f"not measured: {problem}")
        return True
    pairs = [f"{concurrency}{place}" for place in ("", ", 1 ms") for concurrency in CONCURRENCIES]
    comparisons = [Comparison(f"domainstream {pair}", f"Node {pair}", 1.0) for pair in pairs]
    return report(asyncio.run(measure(url)), comparisons, unit="jobs/s")
