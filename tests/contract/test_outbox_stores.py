"""The outbox in memory keeps the contract of the port; those in databases are in integration/outbox."""

from collections.abc import Sequence
from time import time

import pytest

from domainstream.outbox import MemoryOutboxStore
from domainstream.producer import OutgoingMessage
from domainstream.testing.outbox_contract import OutboxStoreContract
from domainstream.testing.outbox_harness import SETTINGS, OutboxHarness


class MemoryHarness(OutboxHarness):
    """An outbox in memory, on a clock of its own."""

    def __init__(self) -> None:
        self._now = time()
        self._store = MemoryOutboxStore(SETTINGS, now=lambda: self._now)

    async def add(self, messages: Sequence[OutgoingMessage]) -> None:
        """Store messages."""
        self._store.add(messages)

    def store(self) -> MemoryOutboxStore:
        """Return the one store, which all relays share."""
        return self._store

    async def stored(self) -> list[str]:
        """Return what is left."""
        return [message.event_id for _, message in sorted(self._store.rows.items())]

    async def discard(self, event_id: str) -> None:
        """Delete a row."""
        (row_id,) = [row_id for row_id, message in self._store.rows.items() if message.event_id == event_id]
        del self._store.rows[row_id]

    async def pass_time(self, seconds: float) -> None:
        """Set the clock forward."""
        self._now += seconds

    async def close(self) -> None:
        """Do nothing."""


class TestMemoryOutboxStore(OutboxStoreContract):
    """The outbox without a database."""

    @pytest.fixture
    async def harness(self) -> OutboxHarness:
        """Give an outbox in memory."""
        return MemoryHarness()
