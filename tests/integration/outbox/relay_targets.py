"""Targets of `domainstream run relay` in the tests."""

import os

from sqlalchemy import MetaData
from support.coding import channel_for

from domainstream.bootstrap.relay import open_relay
from domainstream.outbox import Outbox, OutboxRelay, outbox_table

outbox = Outbox(
    channel_for=channel_for,
    source="coding",
    table=outbox_table(MetaData(), name=os.environ.get("OUTBOX_TABLE", "domainstream_outbox")),
)


def opened() -> OutboxRelay:
    """Return the relay that the environment describes."""
    return open_relay(outbox)


number = 7
