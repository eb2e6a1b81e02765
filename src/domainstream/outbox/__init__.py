"""The outbox: events that are committed with a service's data, and published afterwards. Needs the extra `sql`."""

from domainstream.outbox.outbox import Outbox
from domainstream.outbox.table import outbox_table, relay_table

__all__ = ["Outbox", "outbox_table", "relay_table"]
