"""From a committed row to its stream entry: how fast a relay drains an outbox, how late events are, what idling costs.

`python -m benchmarks.relaying relay REDIS DATABASE` runs a relay as a process of its own, for latency and idle cost.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import asyncpg  # type: ignore[import-untyped]
import msgspec
from faststream.redis import RedisBroker
from faststream_outbox import OutboxBroker, make_outbox_table
from redis.asyncio import Redis
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.comparison import Comparison, report
from benchmarks.sample import EVENT_TYPE, PeerEvent, channel_for, make_event, peer_event
from domainstream.outbox import Outbox, OutboxRelay
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity, RedisBatchPublisher

ROUNDS = 5
OURS, PEERS = 50_000, 5_000
WANTED_RATE, WANTED_P50_MS, WANTED_IDLE = 60_000, 5.0, 0.01
WANTED_OF_BARE_LOOP = 0.5
"""60,000 of the 126,000 events/s that a prototype reached on the machine for which the rate was set."""
PER_SECOND, LATENCY_SECONDS, IDLE_SECONDS = 100, 10, 10
INSERTED = 2_000
PEER_WORKERS, PEER_BATCH = 20, 500
"""The fastest of six combinations for faststream-outbox: 5 to 50 workers with a connection each, 50 to 500 rows."""

BATCH = 500

DRIVERS = {"asyncpg": "postgresql+asyncpg", "psycopg": "postgresql+psycopg"}
Drain = Callable[[int], Awaitable[float]]

outbox = Outbox(channel_for=channel_for, source="coding")


async def commit(engine: AsyncEngine, first: int, count: int) -> None:
    """Store events in one transaction."""
    async with engine.begin() as connection:
        outbox.add_many(connection, [make_event(number) for number in range(first, first + count)])


async def drain(redis: Redis, redis_url: str, database_url: str, count: int) -> float:
    """Store events, and return at which rate a relay brings them into their stream, connecting included."""
    await _fill(database_url, count)
    await redis.flushall()
    relay = OutboxRelay.from_url(redis_url, database_url=database_url)
    started = time.perf_counter()
    running = asyncio.create_task(relay.run())
    seconds = await _reached(redis, count, started)
    await relay.close()
    await running
    return count / seconds


async def drain_by_bare_loop(redis: Redis, redis_url: str, database_url: str, count: int) -> float:
    """Do the same with the least that a relay can do: it repeats a batch when it dies, and one at a time may run."""
    await _fill(database_url, count)
    await redis.flushall()
    select = f"SELECT * FROM {outbox.table.name} ORDER BY id LIMIT {BATCH}"  # noqa: S608 - our own name
    delete = f"DELETE FROM {outbox.table.name} WHERE id = ANY($1)"  # noqa: S608 - our own name
    started = time.perf_counter()
    connection = await asyncpg.connect(_with_driver(database_url, "postgresql"))
    publisher = RedisBatchPublisher.from_url(redis_url)
    for number in range(1, count // BATCH + 1):
        rows = await connection.fetch(select)
        messages = [OutgoingMessage(row["channel"], row["event_id"], row["data"]) for row in rows]
        await publisher.send(messages, BatchIdentity("bareloop", number))
        await connection.execute(delete, [row["id"] for row in rows])
    seconds = await _reached(redis, count, started)
    await connection.close()
    await publisher.close()
    return count / seconds


async def drain_with_peer(redis: Redis, redis_url: str, database_url: str, count: int) -> float:
    """Do the same with faststream-outbox, which passes each row on to FastStream's Redis broker."""
    engine = create_async_engine(database_url, pool_size=PEER_WORKERS + 5)
    metadata = MetaData()
    broker = OutboxBroker(engine, outbox_table=make_outbox_table(metadata, table_name="peer_outbox"), logger=None)
    to_stream = RedisBroker(redis_url)

    @broker.subscriber(
        "events",
        max_workers=PEER_WORKERS,
        fetch_batch_size=PEER_BATCH,
        min_fetch_interval=0.01,
        max_fetch_interval=0.05,
    )
    async def publish(event: PeerEvent) -> None:
        await to_stream.publish(event, stream=EVENT_TYPE)

    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    for first in range(0, count, INSERTED):
        bodies = [peer_event(make_event(number)).model_dump(mode="json") for number in range(first, first + INSERTED)]
        async with engine.begin() as connection:
            await broker.publish_batch(*bodies[: count - first], queue="events", session=connection)
    await redis.flushall()
    await to_stream.connect()
    started = time.perf_counter()
    await broker.start()
    seconds = await _reached(redis, count, started)
    await broker.stop()
    await to_stream.stop()
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    await engine.dispose()
    return count / seconds


async def measure(redis_url: str, database_url: str, sqlite_url: str) -> dict[str, list[float]]:
    """Run every path in turn, several times over, and return its rates in events per second."""
    rates: dict[str, list[float]] = {}
    async with Redis.from_url(redis_url) as redis:
        for _ in range(ROUNDS):
            for name, driver in DRIVERS.items():
                url = _with_driver(database_url, driver)
                rates.setdefault(f"domainstream, {name}", []).append(await drain(redis, redis_url, url, OURS))
            rates.setdefault("domainstream, SQLite", []).append(await drain(redis, redis_url, sqlite_url, OURS))
            url = _with_driver(database_url, DRIVERS["asyncpg"])
            rates.setdefault("bare loop", []).append(await drain_by_bare_loop(redis, redis_url, url, OURS))
            rate = await drain_with_peer(redis, redis_url, url, PEERS)
            rates.setdefault("faststream-outbox", []).append(rate)
        await redis.flushall()
    return rates


async def measure_one_by_one(redis_url: str, database_url: str) -> tuple[float, float, float]:
    """Return the median and the 99th percentile from commit to entry in ms, and idling's share of a core."""
    await _fill(database_url, 0)
    engine = create_async_engine(database_url)
    committed: dict[str, float] = {}
    arrived: dict[str, float] = {}
    count = PER_SECOND * LATENCY_SECONDS
    async with Redis.from_url(redis_url) as redis, _relay_process(redis_url, database_url) as pid:
        reading = asyncio.create_task(_note_arrivals(redis, arrived, count))
        started = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(started + number / PER_SECOND - time.perf_counter())
            event = make_event(number)
            async with engine.begin() as connection:
                outbox.add(connection, event)
            committed[event.id] = time.perf_counter()
        await reading
        await asyncio.sleep(2)
        before = _cpu_seconds(pid)
        await asyncio.sleep(IDLE_SECONDS)
        idle = (_cpu_seconds(pid) - before) / IDLE_SECONDS
    await engine.dispose()
    ages = [(arrived[event_id] - moment) * 1000 for event_id, moment in committed.items()]
    return statistics.median(ages), statistics.quantiles(ages, n=100)[-1], idle


async def _note_arrivals(redis: Redis, arrived: dict[str, float], count: int) -> None:
    last = "0"
    while len(arrived) < count:
        reply: Any = await redis.xread({EVENT_TYPE: last}, block=1000)
        now = time.perf_counter()
        for entry_id, fields in reply[0][1] if reply else ():
            arrived[msgspec.json.decode(fields[b"data"])["id"]] = now
            last = entry_id


async def _fill(database_url: str, count: int) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(outbox.create_table)
    for first in range(0, count, INSERTED):
        await commit(engine, first, min(INSERTED, count - first))
    await engine.dispose()


async def _reached(redis: Redis, count: int, started: float) -> float:
    """Return the seconds since `started` once the stream has all events."""
    while await redis.xlen(EVENT_TYPE) < count:  # noqa: ASYNC110 - another program counts
        await asyncio.sleep(0.01)
    return time.perf_counter() - started


@asynccontextmanager
async def _relay_process(redis_url: str, database_url: str) -> AsyncIterator[int]:
    command = [sys.executable, "-m", "benchmarks.relaying", "relay", redis_url, database_url]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        await cast("asyncio.StreamReader", process.stdout).readline()
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def _run_relay(redis_url: str, database_url: str) -> None:
    async with OutboxRelay.from_url(redis_url, database_url=database_url) as relay:
        running = asyncio.create_task(relay.run())
        while not relay.stats.is_active:  # noqa: ASYNC110 - what it says has no event
            await asyncio.sleep(0.01)
        print("ready", flush=True)
        await running


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _with_driver(url: str, driver: str) -> str:
    return f"{driver}://{url.partition('://')[2]}"


def run(redis_url: str, database_url: str) -> bool:
    """Measure and report: first how late single events are, because a full table has to be cleaned up afterwards."""
    asyncpg_url = _with_driver(database_url, DRIVERS["asyncpg"])
    p50, p99, idle = asyncio.run(measure_one_by_one(redis_url, asyncpg_url))
    with tempfile.TemporaryDirectory() as folder:
        rates = asyncio.run(measure(redis_url, database_url, f"sqlite+aiosqlite:///{folder}/outbox.db"))
    ours = "domainstream, asyncpg"
    comparisons = [Comparison(ours, "faststream-outbox", 10), Comparison(ours, "bare loop", WANTED_OF_BARE_LOOP)]
    met = report(rates, comparisons)
    rate = statistics.median(rates[ours])
    reached = rate >= WANTED_RATE and p50 <= WANTED_P50_MS and idle <= WANTED_IDLE
    print(f"\nrelay: {rate:,.0f} events/s (wanted {WANTED_RATE:,}); commit to entry at {PER_SECOND}/s: ", end="")
    print(f"p50 {p50:.1f} ms (wanted {WANTED_P50_MS}), p99 {p99:.1f} ms; ", end="")
    print(f"idle {idle:.2%} of a core (wanted {WANTED_IDLE:.0%})  {'met' if reached else 'NOT MET'}")
    return met and reached


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_run_relay(*sys.argv[2:]))
