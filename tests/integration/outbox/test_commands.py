"""`domainstream outbox`: what operators see of an outbox, and how they repair it."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner, Result
from integration.cli.conftest import records
from integration.outbox.conftest import Store
from redis.asyncio import Redis
from sqlalchemy import MetaData, Table, create_engine, select, text, update
from sqlalchemy.orm import Session
from support import channels
from support.coding import CodingEvent, created, evaluated
from support.consuming import until

from domainstream.cli.common.command import parameters_of
from domainstream.cli.doctor import DoctorOptions
from domainstream.cli.main import cli
from domainstream.event import read_message
from domainstream.outbox import (
    HeldChannel,
    OutboxRelay,
    RelaySettings,
    SqlOutboxStore,
    archive_table,
    outbox_table,
    relay_table,
)
from domainstream.outbox.settings import DEFAULT_SETTINGS
from domainstream.outbox.sql import inspection
from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.outbox.sql.engine import open_engine
from domainstream.outbox.sql.tables import TABLE_NAME
from domainstream.publisher import BatchIdentity

CREATED, EVALUATED = str(channels.CREATED.value), str(channels.EVALUATED.value)
Type = Callable[..., Awaitable[Result]]
PATIENCE = 60.0
"""Seconds; more than a busy machine needs."""


@pytest.fixture
def typed(store: Store) -> Type:
    """A function that runs `domainstream outbox` with these words on the store."""

    async def type_words(*words: str, **environment: str | None) -> Result:
        command = ["outbox", words[0], "--table", store.outbox.table.name, *words[1:]]
        given = {"DATABASE_URL": store.async_url, **environment}
        # Commands have an event loop of their own, so they run in a thread.
        return await asyncio.to_thread(CliRunner().invoke, cli, command, env=given, prog_name="domainstream")

    return type_words


@pytest.fixture
def tables(store: Store) -> tuple[Table, Table, Table]:
    """The tables of the outbox, of its relay and of its archive."""
    outbox = outbox_table(MetaData(), name=store.outbox.table.name)
    return outbox, relay_table(outbox), archive_table(outbox)


def add(store: Store, *events: CodingEvent) -> list[str]:
    """Store events in one transaction, and return their ids."""
    with Session(store.engine) as session, session.begin():
        store.outbox.add_many(session, events)
    return [event.id for event in events]


@asynccontextmanager
async def relaying(
    store: Store, redis_url: str, prefix: str, settings: RelaySettings = DEFAULT_SETTINGS
) -> AsyncIterator[OutboxRelay]:
    """Run a relay of the store for the duration of a block."""
    table = store.outbox.table
    async with OutboxRelay.from_url(
        redis_url, database_url=store.async_url, table=table, prefix=prefix, settings=settings
    ) as relay:
        running = asyncio.create_task(relay.run())
        yield relay
        relay.stop()
        await running


async def all_published(store: Store) -> None:
    """Wait until the outbox is empty; in a thread, because the relay, in this event loop, may hold SQLite's lock."""

    async def is_empty() -> bool:
        return await asyncio.to_thread(store.stored) == []

    await until(is_empty, patience=PATIENCE)


async def published(redis: Redis, prefix: str, channel: str = CREATED) -> list[str]:
    """Return the ids of the events in a stream, in its order."""
    entries: Any = await redis.xrange(f"{prefix}{channel}")
    return [read_message(fields[b"data"]).id for _, fields in entries]


def hold(store: Store, relay: Table, row_ids: list[int], *, channel: str = CREATED) -> None:
    """Let a channel be held, which is tried again in an hour; no relay must run."""
    engine = create_engine(store.engine.url)
    held = HeldChannel("WRONGTYPE wrong kind of value", 0, 7, 2**52, BatchIdentity("aa", 1), row_ids)
    with engine.begin() as connection:
        connection.execute(relay.insert().values(name=store.outbox.table.name, held=json_of({channel: held})))
    engine.dispose()


def json_of(value: Any) -> str:
    """Return what a relay writes."""
    return msgspec.json.encode(value).decode()


def held_in(store: Store, relay: Table) -> dict[str, HeldChannel]:
    """Return the held channels."""
    with store.engine.connect() as connection:
        return msgspec.json.decode(connection.execute(select(relay.c.held)).scalar_one(), type=dict[str, HeldChannel])


def row_ids(store: Store) -> list[int]:
    """Return the numbers of the rows."""
    ids = store.outbox.table.c.id
    with store.engine.connect() as connection:
        return list(connection.execute(select(ids).order_by(ids)).scalars())


def make_older(store: Store, table: Table, column: str, age: timedelta) -> None:
    """Move a time of all rows back."""
    moved = (
        text(f"UPDATE {table.name} SET {column} = datetime({column}, '-{age.total_seconds():.0f} seconds')")  # noqa: S608
        if store.engine.dialect.name == "sqlite"
        else update(table).values({column: table.c[column] - age})
    )
    with store.engine.begin() as connection:
        connection.execute(moved)


async def test_empty_outbox_has_no_backlog(typed: Type) -> None:
    """An outbox that nobody has used yet is shown as it is, and is not an alarm."""
    (record,) = records(await typed("status", "--rate-over", "0s", "--max-age", "60", "--json"))
    assert (record["backlog"], record["oldest_ms"], record["held"], record["rate"]) == (0, None, [], None)
    assert (record["relay"]["owner"], record["relay"]["epoch"]) == (None, 0)


async def test_backlog_is_counted_by_channel(typed: Type, store: Store) -> None:
    """Status counts the rows of each channel, and says that no relay is active."""
    add(store, created(), created(), evaluated())
    (record,) = records(await typed("status", "--rate-over", "0s", "--json"))
    assert (record["backlog"], record["channels"]) == (3, {CREATED: 2, EVALUATED: 1})
    shown = (await typed("status", "--rate-over", "0s")).stdout
    assert f"2 of {CREATED}" in shown
    assert "none is active; start one: domainstream run relay" in shown


@pytest.mark.parametrize("option", ["--max-age", "--max-oldest"])
@pytest.mark.parametrize(("limit", "code"), [("60", 1), ("1m", 1), ("5m", 0)])
async def test_event_that_waits_for_too_long_is_an_alarm(
    typed: Type, store: Store, option: str, limit: str, code: int
) -> None:
    """`--max-age`, or `--max-oldest`, takes seconds or a duration, and exits with 1 when the oldest event is older."""
    add(store, created())
    make_older(store, store.outbox.table, "created_at", timedelta(minutes=2))
    result = await typed("status", "--rate-over", "0s", option, limit)
    assert result.exit_code == code
    assert ("has been waiting for 2 min (limit 1 min)" in result.stderr) == (code == 1)


async def test_large_backlog_is_an_estimate(typed: Type, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit rows are not counted, and the output says so."""
    monkeypatch.setattr(inspection, "COUNTED", 2)
    add(store, *[created() for _ in range(5)])
    result = await typed("status", "--rate-over", "0s", "--json")
    (record,) = records(result)
    assert record["is_estimate"] is True
    assert record["backlog"] >= 3
    assert "about " in (await typed("status", "--rate-over", "0s")).stdout


async def test_active_relay_is_shown(
    typed: Type, store: Store, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """Status says where the active relay runs, its epoch, its lease, and how many rows were published in all."""
    add(store, *[created() for _ in range(3)])
    async with relaying(store, redis_url, stream_prefix):
        await all_published(store)
        (record,) = records(await typed("status", "--rate-over", "1ms", "--json"))
    relay = record["relay"]
    assert relay["owner"].startswith(f"{socket.gethostname()}:{os.getpid()}:")
    assert (relay["epoch"], relay["published"]) == (1, 3)
    assert relay["lease_ms"] > 0
    assert (record["rate"]["published"], record["rate"]["growth"]) == (0, 0)
    (record,) = records(await typed("status", "--rate-over", "0s", "--json"))
    assert (record["relay"]["owner"], record["relay"]["epoch"], record["relay"]["published"]) == (None, 1, 3)


async def test_held_channel_is_an_alarm_until_it_is_retried(
    typed: Type, store: Store, tables: tuple[Table, Table, Table], redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """A held channel exits with 1 and its reason; once its cause is fixed, `retry` publishes it in the next turn."""
    event_ids, name = add(store, created(), created()), store.outbox.table.name
    hold(store, tables[1], row_ids(store)[:1])
    result = await typed("status", "--rate-over", "0s")
    assert result.exit_code == 1
    assert f"{CREATED}: 2 events held for" in result.stdout
    assert "WRONGTYPE" in result.stdout
    assert (
        f"1 channel of {name} is held. Once the cause is fixed, run: domainstream outbox retry --table {name}\n"
        in result.stderr
    )
    async with relaying(store, redis_url, stream_prefix) as relay:
        await until(lambda: CREATED in relay.stats.held, patience=PATIENCE)
        assert await asyncio.to_thread(store.stored) == event_ids
        (outcome,) = records(await typed("retry", "--json"))
        assert outcome == {"channels": [CREATED], "is_relay_active": True}
        await all_published(store)
    assert await published(redis, stream_prefix) == event_ids
    (record,) = records(await typed("status", "--rate-over", "0s", "--json"))
    assert record["held"] == []


async def test_retry_without_a_relay_says_so(typed: Type, store: Store, tables: tuple[Table, Table, Table]) -> None:
    """Without an active relay a held channel waits for one, which tries it at once."""
    add(store, created())
    hold(store, tables[1], row_ids(store))
    result = await typed("retry", CREATED)
    assert result.exit_code == 0
    assert "No relay is active; start one: domainstream run relay MODULE:OBJECT" in result.stderr
    assert held_in(store, tables[1])[CREATED].retry_at_ms < 2**52


async def test_retry_of_a_channel_that_is_not_held_suggests_a_held_one(
    typed: Type, store: Store, tables: tuple[Table, Table, Table]
) -> None:
    """A misspelled channel is not found, and nothing is retried."""
    add(store, created())
    hold(store, tables[1], row_ids(store))
    result = await typed("retry", f"{CREATED}s")
    assert result.exit_code == 4
    assert f"Did you mean {CREATED}?" in result.stderr
    assert held_in(store, tables[1])[CREATED].retry_at_ms == 2**52


async def test_retry_with_nothing_held_does_nothing(typed: Type) -> None:
    """Without a held channel there is nothing to retry, which is not an error."""
    result = await typed("retry")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No channel" in result.stderr


async def test_discarded_events_are_never_published(
    typed: Type, store: Store, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """The events of the chosen channel are deleted, the others are published."""
    add(store, created(), created())
    (kept,) = add(store, evaluated())
    result = await typed("discard", "--channel", CREATED, "--yes")
    assert result.exit_code == 0
    assert result.stdout == f"2 of 2 events of {store.outbox.table.name} discarded\n"
    async with relaying(store, redis_url, stream_prefix):
        await all_published(store)
    assert await published(redis, stream_prefix) == []
    assert await published(redis, stream_prefix, EVALUATED) == [kept]


async def test_named_events_are_discarded(typed: Type, store: Store) -> None:
    """`--event` chooses single events."""
    first, second, third = add(store, created(), created(), created())
    (outcome,) = records(await typed("discard", "--event", first, "--event", third, "--yes", "--json"))
    assert (outcome["chosen"], outcome["discarded"], outcome["noted"]) == (2, 2, 0)
    assert store.stored() == [second]


async def test_discarding_the_rejected_rows_releases_their_channel(
    typed: Type, store: Store, tables: tuple[Table, Table, Table]
) -> None:
    """A channel is held as long as one of its rejected rows is left."""
    event_ids = add(store, created(), created(), created())
    hold(store, tables[1], row_ids(store)[:2])
    assert (await typed("discard", "--event", event_ids[0], "--yes")).exit_code == 0
    assert held_in(store, tables[1])[CREATED].row_ids == row_ids(store)[:1]
    assert (await typed("discard", "--event", event_ids[1], "--yes")).exit_code == 0
    assert held_in(store, tables[1]) == {}
    assert store.stored() == event_ids[2:]


async def test_rows_that_a_relay_is_publishing_are_not_discarded(typed: Type, store: Store) -> None:
    """What a relay has noted may be in its stream already: it is left alone, and the command says so with 5."""
    event_ids = add(store, created(), created())
    engine = open_engine(store.async_url)
    outbox = SqlOutboxStore(engine, store.outbox.table, RelaySettings(batch_messages=1))
    lease = await outbox.take_over("another")
    assert lease is not None
    claim = await outbox.next_batch(lease, None, BatchIdentity("bb", 1))
    await outbox.close()
    await engine.dispose()
    assert claim.batch is not None
    assert [row.message.event_id for row in claim.batch.rows] == event_ids[:1]
    result = await typed("discard", "--channel", CREATED, "--yes")
    assert result.exit_code == 5
    assert (
        "1 event left alone, because a relay has noted them for publishing; once it is done, run again" in result.stderr
    )
    assert store.stored() == event_ids[:1]


async def test_discard_counts_and_asks_first(typed: Type, store: Store) -> None:
    """`--dry-run` counts, and without --yes and a terminal the question says what would be lost."""
    event_ids = add(store, created(), created())
    (outcome,) = records(await typed("discard", "--channel", CREATED, "--dry-run", "--json"))
    assert (outcome["chosen"], outcome["discarded"], outcome["dry_run"]) == (2, 0, True)
    result = await typed("discard", "--channel", CREATED)
    assert result.exit_code == 2
    assert "Permanently delete 2 events" in result.stderr
    assert "They are never published." in result.stderr
    assert store.stored() == event_ids


@pytest.mark.parametrize(
    ("words", "code", "words_of_error"),
    [
        ([], 2, "--channel CHANNEL, or --event ID"),
        (["--channel", f"{CREATED}s"], 4, f"Did you mean {CREATED}?"),
        (["--event", "nothing"], 4, "there is no event nothing"),
    ],
)
async def test_choice_of_discard_must_fit(
    typed: Type, store: Store, words: list[str], code: int, words_of_error: str
) -> None:
    """Without a choice, or with one that nothing fits, nothing is deleted."""
    event_ids = add(store, created())
    result = await typed("discard", *words, "--yes")
    assert result.exit_code == code
    assert words_of_error in result.stderr
    assert store.stored() == event_ids


async def test_events_are_replayed_from_the_archive(
    typed: Type, store: Store, tables: tuple[Table, Table, Table], redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """A lost stream is filled again: same event ids, same order, each event once however often it was replayed."""
    event_ids = add(store, created(), created(), created())
    add(store, evaluated())
    settings = RelaySettings(archive=True)
    for _ in range(2):
        async with relaying(store, redis_url, stream_prefix, settings):
            await all_published(store)
        assert await published(redis, stream_prefix) == event_ids
        await redis.delete(f"{stream_prefix}{CREATED}")
        words = ("replay", "--since", "1h", "--channel", CREATED, "--yes", "--json")
        (outcome,) = records(await typed(*words))
        assert (outcome["chosen"], outcome["stored"]) == (3, 3)
        assert store.stored() == event_ids
        # What waits to be published is not stored once more.
        (outcome,) = records(await typed(*words))
        assert (outcome["chosen"], outcome["stored"]) == (0, 0)


async def test_replay_chooses_by_time_and_event(
    typed: Type, store: Store, tables: tuple[Table, Table, Table], redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """Only events that were published in the time, and those that are named, are replayed."""
    first, second = add(store, created(), created())
    async with relaying(store, redis_url, stream_prefix, RelaySettings(archive=True)):
        await all_published(store)
    make_older(store, tables[2], "sent_at", timedelta(hours=2))
    for words in (["--since", "1h"], ["--since", "4h", "--until", "3h"]):
        (outcome,) = records(await typed("replay", *words, "--yes", "--json"))
        assert outcome["chosen"] == 0
    (outcome,) = records(await typed("replay", "--since", "3h", "--until", "1h", "--dry-run", "--json"))
    assert (outcome["chosen"], outcome["stored"]) == (2, 0)
    (outcome,) = records(await typed("replay", "--since", "3h", "--event", second, "--yes", "--json"))
    assert outcome["stored"] == 1
    assert store.stored() == [second]
    (outcome,) = records(await typed("replay", "--event", first, "--yes", "--json"))
    assert outcome["stored"] == 1
    assert store.stored() == [second, first]


async def test_replay_needs_a_choice(typed: Type) -> None:
    """Without a time and an event, wrong usage says what to choose by."""
    result = await typed("replay", "--yes")
    assert result.exit_code == 2
    assert "say which events: --since 2h, or --event ID" in result.stderr


async def test_replay_asks_first(typed: Type, store: Store, redis: Redis, redis_url: str, stream_prefix: str) -> None:
    """The question says how many events are published again, and who handles them again."""
    add(store, created())
    async with relaying(store, redis_url, stream_prefix, RelaySettings(archive=True)):
        await all_published(store)
    result = await typed("replay", "--since", "1h")
    assert result.exit_code == 2
    assert "Publish 1 event of" in result.stderr
    assert "other consumers handle them again" in result.stderr
    assert store.stored() == []


@pytest.mark.parametrize(("dropped", "code", "fix"), [(False, 4, "with --archive"), (True, 1, "outbox ddl")])
async def test_replay_without_an_archive_says_how_to_get_one(
    typed: Type, store: Store, tables: tuple[Table, Table, Table], dropped: bool, code: int, fix: str
) -> None:
    """An archive that is empty or does not exist is an error, which says what fills or creates it."""
    if dropped:
        tables[2].drop(store.engine)
    result = await typed("replay", "--since", "1h", "--yes")
    assert result.exit_code == code
    assert fix in result.stderr


async def test_old_events_are_purged_from_the_archive(
    typed: Type, store: Store, tables: tuple[Table, Table, Table], redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """Events that were published longer ago are deleted, and cannot be replayed any more."""
    add(store, created())
    async with relaying(store, redis_url, stream_prefix, RelaySettings(archive=True)):
        await all_published(store)
        await asyncio.to_thread(make_older, store, tables[2], "sent_at", timedelta(days=31))
        (kept,) = await asyncio.to_thread(add, store, created())
        await all_published(store)
    asked = await typed("purge", "--older-than", "30d")
    assert asked.exit_code == 2
    assert "Permanently delete 1 event that the archive of" in asked.stderr
    (outcome,) = records(await typed("purge", "--older-than", "30d", "--yes", "--json"))
    assert outcome["purged"] == 1
    await typed("replay", "--since", "60d", "--yes")
    assert store.stored() == [kept]


@pytest.mark.parametrize("store", ["postgresql+psycopg", "postgresql+asyncpg"], indirect=True)
async def test_open_writer_is_named(typed: Type, store: Store) -> None:
    """A transaction that has stored events and does not end is shown with its process, its state and its age."""
    with store.engine.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.execute(text("SET application_name = 'coding'"))
        connection.commit()
        connection.execute(text(f"LOCK TABLE {store.outbox.table.name} IN ROW EXCLUSIVE MODE"))

        async def shown() -> list[dict[str, Any]]:
            (record,) = records(await typed("status", "--rate-over", "0s", "--json"))
            return list(record["writers"])

        await until(shown, patience=PATIENCE)
        (writer,) = await shown()
        result = await typed("status", "--rate-over", "0s")
    assert (writer["pid"], writer["application"], writer["state"]) == (pid, "coding", "idle in transaction")
    assert writer["open_ms"] >= 1000
    assert f"pid {pid} (" in result.stdout
    assert await shown() == []


async def test_printed_sql_creates_an_outbox(store: Store, typed: Type, redis_url: str, stream_prefix: str) -> None:
    """What `ddl` prints for the store's database creates tables with which everything works."""
    dialect, name = store.engine.dialect.name, f"{store.outbox.table.name}_other"
    words = ["outbox", "ddl", "--dialect", dialect, "--table", name]
    sql = CliRunner().invoke(cli, words).stdout
    assert json.loads(CliRunner().invoke(cli, [*words, "--json"]).stdout) == {"dialect": dialect, "sql": sql}
    with store.engine.begin() as connection:
        for statement in filter(str.strip, sql.split(";")):
            connection.execute(text(statement))
    given = {"DATABASE_URL": store.async_url}
    result = await asyncio.to_thread(
        CliRunner().invoke, cli, ["outbox", "status", "--rate-over", "0s", "--table", name, "--json"], env=given
    )
    assert records(result)[0]["backlog"] == 0


@pytest.mark.parametrize(
    ("url", "words_of_error"),
    [
        ("", "export DATABASE_URL="),
        ("postgresql://someone:a-secret@127.0.0.1:1/shop", "Connect"),
        ("sqlite:////nowhere/at-all.db", "there is no database /nowhere/at-all.db"),
    ],
)
def test_database_that_is_not_there_cannot_be_reached(url: str, words_of_error: str) -> None:
    """A missing, unreachable or misspelled database ends with 3; no password is shown."""
    result = CliRunner().invoke(cli, ["outbox", "status"], env={"DATABASE_URL": url})
    assert result.exit_code == 3
    assert words_of_error in result.stderr
    assert "a-secret" not in result.output


async def test_outbox_that_does_not_exist_says_how_to_create_it(typed: Type, store: Store) -> None:
    """A database without the table ends the command with 1 and the command that prints its SQL."""
    result = await typed("status", "--table", "missing_outbox")
    assert result.exit_code == 1
    assert "domainstream outbox ddl" in result.stderr


async def test_place_names_no_user_and_no_password(tmp_path: Path) -> None:
    """Questions and output name host, port and database, or the file."""
    database = OutboxDatabase.from_url("postgresql://someone:a-secret@db.example:6432/shop")
    assert database.place == "db.example:6432/shop"
    await database.close()
    database = OutboxDatabase.from_url(f"sqlite:///{tmp_path}/shop.db")
    assert database.place == f"{tmp_path}/shop.db"
    await database.close()


async def doctor(database_url: str, redis_url: str, prefix: str, *words: str) -> dict[str, tuple[str, str]]:
    """Return what `domainstream doctor` says of the outbox: status and words by check."""
    given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "DOMAINSTREAM_PREFIX": prefix}
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["doctor", *words, "--json"], env=given)
    found = {line["check"]: line for line in map(json.loads, result.stdout.splitlines())}
    of_outbox = ("outbox", "relay", "held channels", "open writers")
    return {check: (line["status"], line["words"]) for check, line in found.items() if check in of_outbox}


async def test_doctor_looks_at_the_outbox(
    store: Store, tables: tuple[Table, Table, Table], redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """With a database, doctor reports a missing relay and held channels, and nothing while a relay is active."""
    name = store.outbox.table.name
    assert (await doctor(store.async_url, redis_url, stream_prefix, "--table", name))["relay"][0] == "warning"
    async with relaying(store, redis_url, stream_prefix) as relay:
        await until(lambda: relay.stats.is_active, patience=PATIENCE)
        assert list(await doctor(store.async_url, redis_url, stream_prefix, "--table", name)) == ["outbox"]
    add(store, created())
    with store.engine.begin() as connection:
        connection.execute(tables[1].delete())
    hold(store, tables[1], row_ids(store))
    findings = await doctor(store.async_url, redis_url, stream_prefix, "--table", name)
    backlog = f"backlog of 1 event in {name}, the oldest waiting for "
    assert findings["relay"][0] == "problem"
    assert f"no relay is active: what is stored is not published; {backlog}" in findings["relay"][1]
    assert findings["held channels"][0] == "problem"
    assert "WRONGTYPE" in findings["held channels"][1]


async def test_doctor_accepts_a_database_without_an_outbox(store: Store, redis_url: str, stream_prefix: str) -> None:
    """`DATABASE_URL` is set for many reasons: a database without the table is well."""
    findings = await doctor(store.async_url, redis_url, stream_prefix, "--table", "missing_outbox")
    assert findings["outbox"][0] == "ok"
    assert list(findings) == ["outbox"]


@pytest.mark.parametrize("url", ["mysql://db/shop", "not-a-url"])
async def test_doctor_accepts_a_database_of_something_else(url: str, redis_url: str, stream_prefix: str) -> None:
    """`DATABASE_URL` may be one of another tool, which no outbox can be in."""
    findings = await doctor(url, redis_url, stream_prefix)
    assert findings["outbox"][0] == "ok"
    assert "doctor did not look for an outbox" in findings["outbox"][1]


async def test_doctor_warns_of_a_file_that_does_not_exist(tmp_path: Path, redis_url: str, stream_prefix: str) -> None:
    """A mistyped path to a SQLite file is reported, and no file is created."""
    file = tmp_path / "shop.db"
    findings = await doctor(f"sqlite:///{file}", redis_url, stream_prefix)
    words = f"there is no database {file}; correct --database-url or DATABASE_URL"
    assert findings == {"outbox": ("warning", words)}
    assert not file.exists()


@pytest.mark.parametrize("store", ["postgresql+psycopg"], indirect=True)
async def test_outbox_in_a_schema_is_found(typed: Type, store: Store, redis_url: str, stream_prefix: str) -> None:
    """With `--schema`, commands and doctor look there, and their hints name it."""
    schema = f"schema_{uuid4().hex[:12]}"
    table = outbox_table(MetaData(), name="events", schema=schema)
    relay = relay_table(table)
    with store.engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        table.metadata.create_all(connection)
        held = HeldChannel("WRONGTYPE wrong kind of value", 0, 7, 2**52, BatchIdentity("aa", 1), [1])
        connection.execute(relay.insert().values(name=table.name, held=json_of({CREATED: held})))
    named = ("--table", "events", "--schema", schema)
    status, findings = (
        await typed("status", *named, "--rate-over", "0s"),
        await doctor(store.async_url, redis_url, stream_prefix, *named),
    )
    with store.engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    assert f"run: domainstream outbox retry --table events --schema {schema}\n" in status.stderr
    assert findings["held channels"][0] == "problem"


def test_commands_look_for_the_table_that_an_outbox_has_by_default() -> None:
    """`--table` has the same default as `outbox_table`, which commands without SQLAlchemy cannot ask."""
    (table,) = [each for each in parameters_of(DoctorOptions) if each.name == "table"]
    assert table.default == TABLE_NAME


async def test_words_of_a_relay_that_has_ended_are_no_time(
    typed: Type, tables: tuple[Table, Table, Table], store: Store
) -> None:
    """The epoch of the last relay is shown as what it is."""
    with store.engine.begin() as connection:
        connection.execute(tables[1].insert().values(name=store.outbox.table.name, epoch=12))
    result = await typed("status", "--rate-over", "0s")
    assert "none is active (the last one had epoch 12); start one" in result.stdout


@pytest.mark.parametrize("store", ["sqlite+aiosqlite"], indirect=True)
async def test_writers_of_sqlite_are_not_shown(typed: Type, store: Store) -> None:
    """What cannot be seen has no line, which would read as if there were none."""
    lines = (await typed("status", "--rate-over", "0s")).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["outbox", "backlog", "rate", "relay", "held"]
