"""What an event costs the transaction that stores it: one UPDATE and one INSERT, with and without an event.

The ways to store take turns, transaction by transaction, each time in another order, so that all of them meet the same
machine in the same state.
"""

import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable
from itertools import product
from time import perf_counter
from typing import Any
from uuid import uuid4

from sqlalchemy import MetaData, insert, update
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.comparison import Comparison, report
from benchmarks.sample import OptimizationEvaluated, channel_for, make_event
from domainstream.outbox import Outbox

ROUNDS = 7
TRANSACTIONS = 150
"""Of each way in one round."""

DRIVERS = ("asyncpg", "psycopg")
NONE, ONE, FIVE = "no event", "1 event", "5 events"
EVENTS = {NONE: 0, ONE: 1, FIVE: 5}
CORE_METADATA = MetaData()


class Model(DeclarativeBase):
    """The models of the transaction."""

    metadata = CORE_METADATA


class Account(Model):
    """What the transaction updates."""

    __tablename__ = f"bench_accounts_{uuid4().hex[:8]}"

    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(default=0)


class Entry(Model):
    """What the transaction inserts."""

    __tablename__ = f"bench_entries_{uuid4().hex[:8]}"

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[int]
    text: Mapped[str]


Way = Callable[[list[OptimizationEvaluated]], Awaitable[None]]

# "At most 15 % more" is a rate of at least 1 / 1.15. A transaction without the ORM is shorter, so the same statement is
# a larger part of it.
WANTED = {"ORM": 1 / 1.15, "Core": 1 / 1.3}
COMPARISONS = [
    Comparison(f"{driver} {layer}, {ONE}", f"{driver} {layer}, {NONE}", wanted)
    for driver in DRIVERS
    for layer, wanted in WANTED.items()
]


def orm_way(engine: AsyncEngine, outbox: Outbox[Any]) -> Way:
    """Return a transaction through sessions, each of which is new, as in a web service."""
    sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(engine)

    async def run(events: list[OptimizationEvaluated]) -> None:
        async with sessions.begin() as session:
            account = await session.get_one(Account, 1)
            account.balance += 1
            session.add(Entry(account=1, text="debit"))
            for event in events:
                outbox.add(session, event)

    return run


def core_way(engine: AsyncEngine, outbox: Outbox[Any]) -> Way:
    """Return the same transaction through a connection."""
    changed = update(Account).where(Account.id == 1).values(balance=Account.balance + 1)
    added = insert(Entry).values(account=1, text="debit")

    async def run(events: list[OptimizationEvaluated]) -> None:
        async with engine.begin() as connection:
            await connection.execute(changed)
            await connection.execute(added)
            for event in events:
                outbox.add(connection, event)

    return run


async def measure(url: str) -> dict[str, list[float]]:
    """Run every way in turn, several times over, and return its rates in transactions per second."""
    outbox: Outbox[Any] = Outbox(channel_for=channel_for, source="coding")
    outbox.table.name = f"bench_outbox_{uuid4().hex[:8]}"
    engines = {
        name: create_async_engine(make_url(url).set(drivername=f"postgresql+{name}"), pool_size=1) for name in DRIVERS
    }
    ways = {
        f"{name} {layer}": make(engine, outbox)
        for name, engine in engines.items()
        for layer, make in (("ORM", orm_way), ("Core", core_way))
    }
    rates: dict[str, list[float]] = {f"{way}, {count}": [] for way in ways for count in EVENTS}
    async with engines["asyncpg"].begin() as connection:
        await connection.run_sync(CORE_METADATA.create_all)
        await connection.run_sync(outbox.create_table)
        await connection.execute(insert(Account).values(id=1, balance=0))
    for round_number in range(ROUNDS + 1):
        seconds = await _round(ways)
        for name, each in seconds.items() if round_number else ():
            rates[name].append(1 / each)
    async with engines["asyncpg"].begin() as connection:
        await connection.run_sync(outbox.table.drop)
        await connection.run_sync(CORE_METADATA.drop_all)
    for engine in engines.values():
        await engine.dispose()
    return rates


async def _round(ways: dict[str, Way]) -> dict[str, float]:
    """Return the median seconds of each way's transactions."""
    turns = list(product(ways, EVENTS))
    seconds: dict[str, list[float]] = {f"{way}, {count}": [] for way, count in turns}
    for number in range(TRANSACTIONS):
        random.shuffle(turns)
        for way, count in turns:
            events = [make_event(number) for _ in range(EVENTS[count])]
            started = perf_counter()
            await ways[way](events)
            seconds[f"{way}, {count}"].append(perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def run(url: str) -> bool:
    """Measure and report."""
    return report(asyncio.run(measure(url)), COMPARISONS, unit="tx/s")
