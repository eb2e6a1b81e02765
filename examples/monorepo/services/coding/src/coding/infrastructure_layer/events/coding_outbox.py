"""The outbox of coding: events are stored in the transaction of the data that they are about."""

from sqlalchemy import MetaData

from coding.infrastructure_layer.events.coding_event_producer.coding_event_producer_mapper import channel_for
from domainstream.outbox import Outbox, archive_table, outbox_table, relay_table

metadata = MetaData()
"""The outbox's tables, for Alembic."""

table = outbox_table(metadata, name="coding_outbox")
relay_table(table)
archive_table(table)

outbox = Outbox(channel_for=channel_for, source="coding", table=table)
"""Stores the service's events; a relay publishes them."""
