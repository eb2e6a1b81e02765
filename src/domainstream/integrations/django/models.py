"""The tables of `domainstream.outbox.sql.tables` as Django's models: for queries, for tests, and for `flush`.

The migration creates the tables by SQL of its own, because Django's models know neither storage parameters nor, before
Django 5, defaults in the database.
"""

from typing import Any

from django import VERSION
from django.db import models
from django.db.models.functions import Now


def database_default(value: Any) -> dict[str, Any]:
    """Return the argument of a field whose default is in the database; before Django 5, models cannot say so."""
    return {"db_default": value} if VERSION >= (5, 0) else {}


class OutboxRow(models.Model):
    """An event that is committed and not confirmed to be in its stream; their number is the backlog."""

    id = models.BigAutoField(primary_key=True)
    """The row's number; a relay publishes rows in this order."""

    event_id = models.TextField()
    """The event's id."""

    channel = models.TextField()
    """The event's channel."""

    partition_key = models.TextField()
    """What must stay in order: by default the aggregate's id."""

    data = models.BinaryField()
    """The message: CloudEvents JSON in UTF-8, which `domainstream.event.read_message` reads."""

    created_at = models.DateTimeField(**database_default(Now()))
    """When its transaction began."""

    class Meta:
        db_table = "domainstream_outbox"
        verbose_name = "outbox row"

    def __str__(self) -> str:
        return f"{self.channel} {self.event_id}"


class RelayRow(models.Model):
    """What the relay of the outbox has to remember; only relays write it."""

    name = models.TextField(primary_key=True)
    """The outbox's table."""

    owner = models.TextField(null=True)  # noqa: DJ001 - no relay is another thing than one without a name
    """Which relay is active; None after it was stopped."""

    epoch = models.BigIntegerField(**database_default(0))
    """Counts the takeovers."""

    lease_until_ms = models.BigIntegerField(**database_default(0))
    """Until when no other relay takes over, in milliseconds since 1970."""

    producer = models.TextField(**database_default(""))
    """Under which producer id the noted batch is published."""

    sequence = models.BigIntegerField(**database_default(0))
    """Under which sequence number the noted batch is published."""

    pending = models.TextField(**database_default("[]"))
    """The rows of the noted batch, as JSON."""

    held = models.TextField(**database_default("{}"))
    """The channels that the server rejects, as JSON."""

    published = models.BigIntegerField(**database_default(0))
    """How many rows were published in all."""

    class Meta:
        db_table = "domainstream_outbox_relay"
        verbose_name = "relay"

    def __str__(self) -> str:
        return str(self.name)


class ArchiveRow(models.Model):
    """A row that was published, if `RelaySettings.archive` is set."""

    id = models.BigIntegerField(primary_key=True)
    """The number that the row had in the outbox."""

    event_id = models.TextField()
    """The event's id."""

    channel = models.TextField()
    """The event's channel."""

    partition_key = models.TextField()
    """What had to stay in order."""

    data = models.BinaryField()
    """The message."""

    created_at = models.DateTimeField()
    """When its transaction began."""

    sent_at = models.DateTimeField(**database_default(Now()))
    """When the relay deleted it from the outbox."""

    class Meta:
        db_table = "domainstream_outbox_sent"
        verbose_name = "archived row"

    def __str__(self) -> str:
        return f"{self.channel} {self.event_id}"
