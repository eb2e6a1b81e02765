"""The migration creates the tables that the relay expects, and Django's models describe them."""

import io
import re
from typing import Any

from django.core.management import call_command
from django.db import connections, transaction
from support.coding import CodingEvent, created

from domainstream.integrations.django import DjangoOutbox
from domainstream.integrations.django.models import ArchiveRow, OutboxRow, RelayRow
from domainstream.outbox.sql.tables import ddl

TABLES = ("domainstream_outbox", "domainstream_outbox_relay", "domainstream_outbox_sent")
MODELS = (OutboxRow, RelayRow, ArchiveRow)

CATALOG = (
    (
        "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, is_identity, "
        "identity_generation FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND table_name LIKE 'domainstream%%' ORDER BY 1, 3"
    ),
    (
        "SELECT relname, relkind, reloptions FROM pg_class WHERE relnamespace = CAST(current_schema() AS regnamespace) "
        "AND relname LIKE '%%domainstream%%' ORDER BY 1"
    ),
    (
        "SELECT tablename, indexname, replace(indexdef, current_schema() || '.', '') FROM pg_indexes "
        "WHERE schemaname = current_schema() AND tablename LIKE 'domainstream%%' ORDER BY 1, 2"
    ),
    (
        "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = CAST(current_schema() AS regnamespace) AND conname LIKE 'domainstream%%' ORDER BY 1"
    ),
    (
        "SELECT seqtypid, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle FROM pg_sequence WHERE seqrelid = "
        "CAST(pg_get_serial_sequence(current_schema() || '.domainstream_outbox', 'id') AS regclass)"
    ),
)


def queried(using: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement."""
    with connections[using].cursor() as cursor:
        cursor.execute(statement, ())
        return list(cursor.fetchall())


def described(using: str) -> list[Any]:
    """Return what the database itself knows about the outbox's tables."""
    if connections[using].vendor == "postgresql":
        return [queried(using, statement) for statement in CATALOG]
    columns = [queried(using, f"PRAGMA table_xinfo({table})") for table in TABLES]
    indexes = [queried(using, f"PRAGMA index_list({table})") for table in TABLES]
    statements = queried(using, "SELECT type, tbl_name, sql FROM sqlite_master WHERE name LIKE '%%domainstream%%'")
    words = [(kind, table, "AUTOINCREMENT" in (sql or "").upper()) for kind, table, sql in statements]
    types = [[(*row[:2], row[2].upper(), *row[3:]) for row in rows] for rows in columns]
    return [types, indexes, sorted(words)]


def test_migration_creates_the_tables_of_the_ddl(empty_databases: str) -> None:
    """Columns, types, defaults, keys, indexes, storage parameters and the cache of numbers equal those of `ddl()`."""
    call_command("migrate", "domainstream", database="default", verbosity=0)
    with connections["other"].cursor() as cursor:
        for statement in ddl(empty_databases).split(";\n"):
            if statement.strip():
                cursor.execute(statement)
    assert described("default") == described("other")
    assert all(described("default")[:2])


def test_models_describe_what_the_migration_says(empty_databases: str) -> None:
    """`makemigrations --check` finds nothing to do."""
    call_command("makemigrations", "domainstream", check=True, dry_run=True, verbosity=0)


def test_models_name_every_column_of_the_tables(databases: str) -> None:
    """Each model reads its table, column by column."""
    for model in MODELS:
        with connections["default"].cursor() as cursor:
            described_columns = connections["default"].introspection.get_table_description(cursor, model._meta.db_table)
        assert [column.name for column in described_columns] == [field.column for field in model._meta.fields]
        assert list(model.objects.all()) == []


def test_migration_can_be_reversed(databases: str) -> None:
    """`migrate domainstream zero` drops the three tables."""
    call_command("migrate", "domainstream", "zero", database="default", verbosity=0)
    assert not set(TABLES) & set(connections["default"].introspection.table_names())


def test_migration_can_be_printed(empty_databases: str) -> None:
    """`sqlmigrate` prints every statement, for those who run migrations by hand."""
    printed = io.StringIO()
    call_command("sqlmigrate", "domainstream", "0001", database="default", stdout=printed, no_color=True)
    assert re.findall(r"CREATE TABLE (\w+)", printed.getvalue()) == list(TABLES)


def test_tables_are_emptied_between_tests(databases: str, outbox: DjangoOutbox[CodingEvent]) -> None:
    """`flush`, which a TransactionTestCase uses, empties the outbox as it does the user's tables."""
    with transaction.atomic():
        outbox.add(created())
    call_command("flush", database="default", interactive=False, verbosity=0)
    assert OutboxRow.objects.count() == 0


def test_tables_can_be_created_without_migrations(empty_databases: str, outbox: DjangoOutbox[CodingEvent]) -> None:
    """Test suites that skip migrations create the tables from the models, and events can be stored in them."""
    with connections["default"].schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    with transaction.atomic():
        outbox.add(created())
    assert OutboxRow.objects.count() == 1


def test_router_decides_which_databases_have_an_outbox(empty_databases: str, settings_of_django: Any) -> None:
    """Where a router does not allow the app, its migration creates nothing."""

    class Router:
        def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool:
            return not (db == "other" and app_label == "domainstream")

    settings_of_django(DATABASE_ROUTERS=[Router()])
    for using in ("default", "other"):
        call_command("migrate", "domainstream", database=using, verbosity=0)
    tables = [set(connections[using].introspection.table_names()) & set(TABLES) for using in ("default", "other")]
    assert tables == [set(TABLES), set()]
