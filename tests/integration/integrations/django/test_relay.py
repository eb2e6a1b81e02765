"""The relay of a Django project finds its database and its server in the project's settings."""

import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.db import transaction
from redis.asyncio import Redis
from sqlalchemy.engine import make_url
from support.channels import CREATED
from support.coding import CodingEvent, created
from support.consuming import running, until
from support.django_project import Stay, forget_databases, use_databases

from domainstream.errors import ConfigurationError, OutboxError, ServerNotFoundError
from domainstream.event import read_message
from domainstream.integrations.django import DjangoOutbox, relay
from domainstream.integrations.django.models import ArchiveRow, OutboxRow
from domainstream.integrations.django.relay import database_url, open_relay
from domainstream.outbox import RelaySettings
from domainstream.publisher import Retention

Change = Callable[..., None]


@pytest.mark.parametrize("using", ["default", "other"])
async def test_committed_event_becomes_one_entry(
    databases: str, outbox: DjangoOutbox[CodingEvent], redis: Redis, redis_url: str, stream_prefix: str, using: str
) -> None:
    """What `atomic` commits in a database is in its stream once, and no longer in the outbox of that database."""
    events = [created(f"stay-{number}") for number in range(3)]

    @sync_to_async
    def store() -> None:
        try:
            for event in events:
                with transaction.atomic(using=using):
                    Stay(id=event.aggregate_id).save(using=using)
                    outbox.add(event, using=using)
        finally:
            forget_databases()

    await store()
    async with running(open_relay(using, redis_url=redis_url, prefix=stream_prefix)) as _:
        await until(lambda: redis.xlen(f"{stream_prefix}{CREATED.value}"))
        await until(sync_to_async(lambda: not _count(OutboxRow, using)))
    entries: Any = await redis.xrange(f"{stream_prefix}{CREATED.value}")
    assert [read_message(fields[b"data"]).id for _, fields in entries] == [event.id for event in events]


async def test_settings_of_the_project_are_those_of_the_relay(
    databases: str,
    outbox: DjangoOutbox[CodingEvent],
    redis: Redis,
    redis_url: str,
    stream_prefix: str,
    settings_of_django: Change,
) -> None:
    """Server, prefix, retention and the relay's own settings come from Django's settings."""
    settings_of_django(
        DOMAINSTREAM_REDIS_URL=redis_url,
        DOMAINSTREAM_PREFIX=stream_prefix,
        DOMAINSTREAM_RETENTION=Retention(max_length=2),
        DOMAINSTREAM_RELAY=RelaySettings(archive=True, lease=timedelta(seconds=3)),
    )

    @sync_to_async
    def store() -> None:
        try:
            with transaction.atomic():
                outbox.add(created())
        finally:
            forget_databases()

    await store()
    async with running(open_relay()):
        await until(sync_to_async(lambda: _count(ArchiveRow, "default")))
    assert await redis.xlen(f"{stream_prefix}{CREATED.value}") == 1


def _count(model: Any, using: str) -> int:
    try:
        return int(model.objects.using(using).count())
    finally:
        forget_databases()


def test_setting_of_another_type_is_refused(databases: str, settings_of_django: Change) -> None:
    """A dictionary is not `RelaySettings`; the error says what is."""
    settings_of_django(DOMAINSTREAM_RELAY={"archive": True})
    with pytest.raises(ConfigurationError, match=r"DOMAINSTREAM_RELAY is not RelaySettings but dict; use RelaySett"):
        open_relay(redis_url="redis://localhost")


def test_relay_without_a_server_says_where_to_name_it(databases: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither option nor setting nor variable: the error names all of them, and the command raises it as its own."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(ServerNotFoundError, match=r"DOMAINSTREAM_REDIS_URL = .* export REDIS_URL="):
        open_relay()
    with pytest.raises(CommandError, match="no server is configured"):
        call_command("domainstream_relay")


@pytest.fixture
def kept_signal_handlers() -> Iterator[None]:
    """Let a command in this process handle signals until the end of the test only."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("kept_signal_handlers")
def test_command_without_tables_names_what_creates_them(empty_databases: str, redis_url: str) -> None:
    """The relay of a database that was not migrated ends at once, with the next step."""
    with pytest.raises(CommandError, match=r"outbox domainstream_outbox is not complete .* manage\.py migrate"):
        call_command("domainstream_relay", redis_url=redis_url)


@pytest.mark.parametrize(("words", "named"), [([], ""), (["--database", "other"], " --database other")])
def test_hints_are_commands_of_the_project(
    databases: str, words: list[str], named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `domainstream_outbox` suggests to run next is a command of `manage.py` for the same database."""
    monkeypatch.setenv("DATABASE_URL", "")
    with pytest.raises(SystemExit) as ended:
        call_command("domainstream_outbox", *words, "retry", "missing")
    assert ended.value.code == 4
    assert f"run: manage.py domainstream_outbox{named} status\n" in capsys.readouterr().err


POSTGRES = {"ENGINE": "django.db.backends.postgresql", "NAME": "clinic"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"dbname": "clinic"}),
        (
            {"USER": "coding", "PASSWORD": "p@ss/w:rd%?", "HOST": "db", "PORT": 5433},
            {"dbname": "clinic", "user": "coding", "password": "p@ss/w:rd%?", "host": "db", "port": "5433"},
        ),
        ({"HOST": "/run/postgresql"}, {"dbname": "clinic", "host": "/run/postgresql"}),
        ({"HOST": "::1", "PORT": "5432"}, {"dbname": "clinic", "host": "::1", "port": "5432"}),
        ({"HOST": "one,two", "PORT": "1,2"}, {"dbname": "clinic", "host": "one,two", "port": "1,2"}),
        (
            {"OPTIONS": {"sslmode": "verify-full", "isolation_level": 3, "pool": True, "server_side_binding": True}},
            {"dbname": "clinic", "sslmode": "verify-full"},
        ),
        (
            {"OPTIONS": {"assume_role": "writer", "options": "-c search_path=clinic"}},
            {"dbname": "clinic", "options": "-c search_path=clinic -c role=writer"},
        ),
        ({"NAME": "", "OPTIONS": {"service": "clinic"}}, {"service": "clinic"}),
    ],
)
def test_database_of_django_is_that_of_the_relay(settings: dict[str, Any], expected: dict[str, str]) -> None:
    """The driver gets what Django's gets: socket, hosts, password, role and the options of libpq."""
    use_databases({"default": {**POSTGRES, **settings}})
    url = make_url(database_url())
    assert url.drivername == "postgresql+psycopg"
    assert url.get_dialect()().create_connect_args(url)[1] == expected


def test_asyncpg_is_used_where_psycopg_3_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django works with psycopg 2 as well, which cannot await; options that asyncpg does not know are refused."""
    monkeypatch.setattr(relay, "find_spec", lambda name: name == "asyncpg")
    use_databases(
        {
            "default": {**POSTGRES, "HOST": "db", "OPTIONS": {"sslmode": "require", "connect_timeout": 3}},
            "other": {**POSTGRES, "OPTIONS": {"service": "clinic", "assume_role": "writer"}},
        }
    )
    url = make_url(database_url())
    assert url.drivername == "postgresql+asyncpg"
    assert url.get_dialect()().create_connect_args(url)[1] == {"database": "clinic", "host": "db", "ssl": "require"}
    with pytest.raises(ConfigurationError, match=r"\['other'\].*\n.*asyncpg has no options assume_role, service"):
        database_url("other")


@pytest.mark.parametrize("name", [":memory:", "file:clinic?mode=memory&cache=shared", "file:clinic.db"])
def test_database_that_another_process_cannot_read_is_refused(name: str) -> None:
    """SQLite in memory, or by a URI, is nothing that a relay can open."""
    use_databases({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": name}})
    with pytest.raises(ConfigurationError, match=r"DATABASES\['default'\]"):
        database_url()


def test_relay_of_another_kind_of_database_is_refused() -> None:
    """What is neither PostgreSQL nor SQLite has no outbox."""
    use_databases({"default": {"ENGINE": "django.db.backends.dummy"}})
    with pytest.raises(OutboxError, match="supports PostgreSQL and SQLite, not unknown"):
        database_url()
