"""A Django project with one model, whose databases are chosen by each test."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections, models

if not settings.configured:
    settings.configure(
        INSTALLED_APPS=["domainstream.integrations.django"],
        DATABASES={"default": {}, "other": {}},
        USE_TZ=True,
    )
    django.setup()

ALIASES = ("default", "other")


class Stay(models.Model):
    """An aggregate."""

    id = models.TextField(primary_key=True)
    changes = models.IntegerField(default=0)

    class Meta:
        """Where it belongs."""

        app_label = "coding"
        db_table = "stays"

    def __str__(self) -> str:
        return str(self.id)


def sqlite_settings(file: str) -> dict[str, Any]:
    """Return the settings of a SQLite database."""
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": file}


def postgres_settings(url: str, schema: str) -> dict[str, Any]:
    """Return the settings of a PostgreSQL database in which tables are looked up in `schema`."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.removeprefix("/"),
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "OPTIONS": {"options": f"-c search_path={schema}"},
    }


def use_databases(databases: Mapping[str, dict[str, Any]]) -> None:
    """Let the project's aliases mean these databases, and no others."""
    forget_databases()
    connections.databases.clear()
    connections.databases.update(connections.configure_settings({"default": {}, **databases}))


def forget_databases() -> None:
    """Close the connections of this thread, so that the next ones follow the settings."""
    for alias in [*connections.databases]:
        connections[alias].close()
        del connections[alias]


def migrate(*aliases: str) -> None:
    """Create the outbox's tables and that of the model."""
    for alias in aliases:
        call_command("migrate", database=alias, verbosity=0)
        with connections[alias].schema_editor() as editor:
            editor.create_model(Stay)
