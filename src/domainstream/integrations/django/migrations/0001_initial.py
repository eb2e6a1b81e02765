"""Creates the tables of the outbox, as `domainstream outbox ddl` prints them."""

from typing import Any, ClassVar, Final

from django.db import migrations, models, router
from django.db.migrations.operations.base import Operation
from django.db.models.functions import Now

from domainstream.integrations.django.models import database_default

_POSTGRESQL: Final = (
    """\
CREATE TABLE domainstream_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    channel text NOT NULL,
    partition_key text NOT NULL,
    data bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0
)""",
    """\
CREATE TABLE domainstream_outbox_relay (
    name text NOT NULL PRIMARY KEY,
    owner text,
    epoch bigint DEFAULT '0' NOT NULL,
    lease_until_ms bigint DEFAULT '0' NOT NULL,
    producer text DEFAULT '' NOT NULL,
    sequence bigint DEFAULT '0' NOT NULL,
    pending text DEFAULT '[]' NOT NULL,
    held text DEFAULT '{}' NOT NULL,
    published bigint DEFAULT '0' NOT NULL
) WITH (fillfactor = 10)""",
    """\
CREATE TABLE domainstream_outbox_sent (
    id bigint NOT NULL,
    event_id text NOT NULL,
    channel text NOT NULL,
    partition_key text NOT NULL,
    data bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone DEFAULT now() NOT NULL
)""",
    "CREATE INDEX ix_domainstream_outbox_sent_sent_at ON domainstream_outbox_sent USING brin (sent_at)",
)

_SQLITE: Final = (
    """\
CREATE TABLE domainstream_outbox (
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    event_id text NOT NULL,
    channel text NOT NULL,
    partition_key text NOT NULL,
    data blob NOT NULL,
    created_at datetime DEFAULT CURRENT_TIMESTAMP NOT NULL
)""",
    """\
CREATE TABLE domainstream_outbox_relay (
    name text NOT NULL PRIMARY KEY,
    owner text,
    epoch bigint DEFAULT '0' NOT NULL,
    lease_until_ms bigint DEFAULT '0' NOT NULL,
    producer text DEFAULT '' NOT NULL,
    sequence bigint DEFAULT '0' NOT NULL,
    pending text DEFAULT '[]' NOT NULL,
    held text DEFAULT '{}' NOT NULL,
    published bigint DEFAULT '0' NOT NULL
)""",
    """\
CREATE TABLE domainstream_outbox_sent (
    id bigint NOT NULL,
    event_id text NOT NULL,
    channel text NOT NULL,
    partition_key text NOT NULL,
    data blob NOT NULL,
    created_at datetime NOT NULL,
    sent_at datetime DEFAULT CURRENT_TIMESTAMP NOT NULL
)""",
    "CREATE INDEX ix_domainstream_outbox_sent_sent_at ON domainstream_outbox_sent (sent_at)",
)

_CREATE: Final = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE}
_DROP: Final = ("domainstream_outbox_sent", "domainstream_outbox_relay", "domainstream_outbox")


class CreateTables(Operation):
    """Creates the tables on PostgreSQL and SQLite; other databases of a project get none, and `add` refuses them."""

    reversible = True

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Leave the state to the operations below."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Create the tables."""
        if _is_here(app_label, schema_editor):
            for statement in _CREATE[schema_editor.connection.vendor]:
                schema_editor.execute(statement, params=None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Drop the tables, and with them whatever was not published."""
        if _is_here(app_label, schema_editor):
            for name in _DROP:
                schema_editor.execute(f"DROP TABLE {name}", params=None)

    def describe(self) -> str:
        """Return what `sqlmigrate` prints above the statements."""
        return "Create the tables of the outbox, of its relay and of its archive"


def _is_here(app_label: str, schema_editor: Any) -> bool:
    connection = schema_editor.connection
    return connection.vendor in _CREATE and router.allow_migrate(connection.alias, app_label, model_name="outboxrow")


class Migration(migrations.Migration):
    """The first version."""

    initial = True
    dependencies: ClassVar[list[Any]] = []
    """It needs no other migration."""

    operations: ClassVar[list[Any]] = [
        migrations.SeparateDatabaseAndState(
            database_operations=[CreateTables()],
            state_operations=[
                migrations.CreateModel(
                    name="OutboxRow",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        ("event_id", models.TextField()),
                        ("channel", models.TextField()),
                        ("partition_key", models.TextField()),
                        ("data", models.BinaryField()),
                        ("created_at", models.DateTimeField(**database_default(Now()))),
                    ],
                    options={"db_table": "domainstream_outbox", "verbose_name": "outbox row"},
                ),
                migrations.CreateModel(
                    name="RelayRow",
                    fields=[
                        ("name", models.TextField(primary_key=True, serialize=False)),
                        ("owner", models.TextField(null=True)),
                        ("epoch", models.BigIntegerField(**database_default(0))),
                        ("lease_until_ms", models.BigIntegerField(**database_default(0))),
                        ("producer", models.TextField(**database_default(""))),
                        ("sequence", models.BigIntegerField(**database_default(0))),
                        ("pending", models.TextField(**database_default("[]"))),
                        ("held", models.TextField(**database_default("{}"))),
                        ("published", models.BigIntegerField(**database_default(0))),
                    ],
                    options={"db_table": "domainstream_outbox_relay", "verbose_name": "relay"},
                ),
                migrations.CreateModel(
                    name="ArchiveRow",
                    fields=[
                        ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("event_id", models.TextField()),
                        ("channel", models.TextField()),
                        ("partition_key", models.TextField()),
                        ("data", models.BinaryField()),
                        ("created_at", models.DateTimeField()),
                        ("sent_at", models.DateTimeField(**database_default(Now()))),
                    ],
                    options={"db_table": "domainstream_outbox_sent", "verbose_name": "archived row"},
                ),
            ],
        )
    ]
    """SQL for the tables, and what Django's models know of them."""
