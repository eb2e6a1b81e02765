"""`domainstream run relay`: processes that publish what an outbox stores, and hand over to each other."""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from integration.cli.conftest import COMMAND, TESTS, Running
from integration.cli.test_run import get
from integration.outbox.conftest import Store
from redis.asyncio import Redis
from sqlalchemy import MetaData, select
from sqlalchemy.orm import Session
from support.channels import CREATED
from support.coding import CodingEvent, created
from support.consuming import until
from support.metrics import scrape

from domainstream.event import read_message
from domainstream.outbox import outbox_table, relay_table

HERE = Path(__file__).parent

Start = Callable[..., Awaitable[Running]]


on_both_databases = pytest.mark.parametrize("store", ["sqlite+aiosqlite", "postgresql+asyncpg"], indirect=True)
LOADED = 60.0
"""Seconds that a process has to start or to end on a machine that is busy; none is waited for in vain."""


@pytest.fixture
async def start(store: Store, stream_prefix: str) -> AsyncIterator[Start]:
    """A function that starts `domainstream run relay` on the store; processes that still run at the end are killed."""
    processes: list[Process] = []

    async def run(target: str, *words: str, url: str = "redis://127.0.0.1:1", **environment: str) -> Running:
        given = {
            "REDIS_URL": url,
            "DOMAINSTREAM_PREFIX": stream_prefix,
            "DATABASE_URL": store.async_url,
            "OUTBOX_TABLE": store.outbox.table.name,
            "PYTHONPATH": str(TESTS),
            **environment,
        }
        command = [*COMMAND, "run", "relay", f"relay_targets:{target}", "--app-dir", str(HERE), *words]
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **given}, stdout=PIPE, stderr=PIPE)
        processes.append(process)
        return Running(process)

    yield run
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def add(store: Store, *events: CodingEvent) -> None:
    """Store events in one transaction."""
    with Session(store.engine) as session, session.begin():
        store.outbox.add_many(session, events)


def lease_of(store: Store) -> tuple[Any, ...]:
    """Return owner, epoch and end of the lease."""
    table = relay_table(outbox_table(MetaData(), name=store.outbox.table.name))
    with store.engine.connect() as connection:
        return tuple(connection.execute(select(table.c.owner, table.c.epoch, table.c.lease_until_ms)).one())


async def published(redis: Redis, prefix: str) -> list[str]:
    """Return the ids of the events in the stream, in its order."""
    entries: Any = await redis.xrange(f"{prefix}{CREATED}")
    return [read_message(fields[b"data"]).id for _, fields in entries]


@on_both_databases
async def test_relay_publishes_until_sigterm_and_gives_its_lease_back(
    start: Start, store: Store, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """An Outbox becomes a relay; at SIGTERM it ends with 0, and the lease is free at once."""
    events = [created() for _ in range(3)]
    add(store, *events)
    running = await start("outbox", url=redis_url)
    assert "program=OutboxRelay" in await running.says("run.started")
    await until(lambda: _has(redis, stream_prefix, 3), patience=LOADED)
    owner, epoch, _ = lease_of(store)
    assert owner is not None
    assert owner.startswith(f"{socket.gethostname()}:{running.process.pid}:")
    running.process.send_signal(signal.SIGTERM)
    assert await running.ends(LOADED) == 0
    assert lease_of(store) == (None, epoch, 0)
    assert store.stored() == []
    assert await published(redis, stream_prefix) == [event.id for event in events]


async def _has(redis: Redis, prefix: str, count: int) -> bool:
    return len(await published(redis, prefix)) == count


@on_both_databases
async def test_relay_that_stands_by_takes_over(
    start: Start, store: Store, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """The second relay publishes once SIGTERM has ended the first, whose lease it need not wait for."""
    first = await start("outbox", url=redis_url)
    await first.says("outbox.taken_over")
    second = await start("opened", "--health-port", "0", url=redis_url)
    ready = (await second.says("run.health")).rpartition("url=")[2].partition(" ")[0]
    _, answer = await get(ready)
    assert (answer["status"], answer["done"]["is_active"], answer["done"]["epoch"]) == ("ok", False, 0)
    first.process.send_signal(signal.SIGTERM)
    await second.says("outbox.taken_over epoch=2")
    add(store, created())
    await until(lambda: _has(redis, stream_prefix, 1), patience=LOADED)
    await until(lambda: _counts(ready, 1), patience=LOADED)
    _, answer = await get(ready)
    assert (answer["done"]["is_active"], answer["done"]["epoch"], answer["done"]["held"]) == (True, 2, {})


async def _counts(url: str, published: int) -> bool:
    _, answer = await get(url)
    return bool(answer["done"]["published"] == published)


@on_both_databases
async def test_health_names_held_channels(
    start: Start, store: Store, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """`/ready` stays 200, because a restart would not help, and has the reason; `/metrics` has the number."""
    await redis.set(f"{stream_prefix}{CREATED}", "not a stream")
    add(store, created())
    running = await start("outbox", "--health-port", "0", url=redis_url)
    ready = (await running.says("run.health")).rpartition("url=")[2].partition(" ")[0]
    await running.says("outbox.channel_held")
    status, answer = await get(ready)
    assert status == 200
    assert "WRONGTYPE" in answer["done"]["held"][CREATED]["reason"]
    scraped = await scrape(ready)
    assert scraped.value("domainstream_relay_active") == 1
    assert scraped.value("domainstream_relay_held_channels") == 1
    assert "WRONGTYPE" not in scraped.text


@on_both_databases
async def test_database_url_reaches_what_the_program_opens(start: Start, store: Store) -> None:
    """`--database-url` is in the environment of a function that opens the relay."""
    running = await start("opened", "--database-url", store.async_url, DATABASE_URL="sqlite:////nowhere/at-all.db")
    assert "epoch=1" in await running.says("outbox.taken_over")


@pytest.mark.parametrize("store", ["sqlite+aiosqlite"], indirect=True)
async def test_relay_without_a_database_says_what_to_set(start: Start, store: Store) -> None:
    """Without a URL of the database the command ends with 3 and the variable's name."""
    running = await start("outbox", DATABASE_URL="")
    assert await running.ends(LOADED) == 3
    assert "export DATABASE_URL=" in running.log[-1]


@on_both_databases
async def test_relay_without_tables_says_how_to_create_them(start: Start, store: Store) -> None:
    """A table that does not exist ends the relay with 1 and the command that prints its SQL."""
    running = await start("outbox", OUTBOX_TABLE="missing_outbox")
    assert await running.ends(LOADED) == 1
    assert any("domainstream outbox ddl" in line for line in running.log)


@pytest.mark.parametrize("store", ["sqlite+aiosqlite"], indirect=True)
async def test_object_that_is_no_program_is_rejected(start: Start, store: Store) -> None:
    """A number cannot be run; the error lists what can."""
    running = await start("number")
    assert await running.ends(LOADED) == 1
    assert "an Outbox (`run relay`)" in running.log[-1]
