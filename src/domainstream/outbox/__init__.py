"""Committed means delivered: events that are stored in the caller's transaction, and a relay that publishes them.

Before: `domainstream.publisher`. Next stage: `domainstream.stream`, across Redis. Needs the extra `outbox`.
"""

from importlib.util import find_spec

from domainstream.errors import MissingExtraError

if find_spec("sqlalchemy") is None:
    raise MissingExtraError("Outbox", "outbox")

from domainstream.outbox.held_channels import HeldChannel
from domainstream.outbox.memory import MemoryOutboxStore
from domainstream.outbox.outbox import Outbox
from domainstream.outbox.port import (
    BatchPublisher,
    Claim,
    CommitListener,
    Lease,
    LeaseLostError,
    NotedBatch,
    OutboxStore,
    SettledBatch,
    StoredMessage,
)
from domainstream.outbox.relay import OutboxRelay, RelayStats
from domainstream.outbox.settings import RelaySettings
from domainstream.outbox.sql.engine import begin_immediate
from domainstream.outbox.sql.notifications import NotificationListener
from domainstream.outbox.sql.store import SqlOutboxStore
from domainstream.outbox.sql.tables import archive_table, outbox_table, relay_table

__all__ = [
    "BatchPublisher",
    "Claim",
    "CommitListener",
    "HeldChannel",
    "Lease",
    "LeaseLostError",
    "MemoryOutboxStore",
    "NotedBatch",
    "NotificationListener",
    "Outbox",
    "OutboxRelay",
    "OutboxStore",
    "RelaySettings",
    "RelayStats",
    "SettledBatch",
    "SqlOutboxStore",
    "StoredMessage",
    "archive_table",
    "begin_immediate",
    "outbox_table",
    "relay_table",
]
