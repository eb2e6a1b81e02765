"""Publishes what an outbox stores: one relay at a time, each row as one entry, wherever it dies.

In turn: the database deletes what the last batch published, claims the next rows and notes under which identity they are
about to be published, all in one transaction; then they are published under that identity. A relay that dies in between
leaves the note. Its successor sends the noted rows again under the noted identity, which adds nothing if they were
added, and goes on under an identity of its own.
"""

import secrets
from datetime import timedelta
from itertools import count
from typing import Final

from domainstream.errors import LeaseLostError, ServerError
from domainstream.lifecycle import Lifecycle
from domainstream.outbox.store import Lease, OutboxStore, StoredMessage
from domainstream.publisher.redis_batch_publisher import BatchIdentity, RedisBatchPublisher
from domainstream.retrying import Backoff

SHORTEST_PAUSE: Final = timedelta(milliseconds=2)
LONGEST_PAUSE: Final = timedelta(milliseconds=50)
LEASE: Final = timedelta(seconds=10)
STAND_BY: Final = 1.0
"""Seconds between two attempts to take over."""


class OutboxRelay:
    """Publishes the events of one outbox. Any number may run: one is active, the others stand by."""

    def __init__(
        self, store: OutboxStore, publisher: RedisBatchPublisher, *, lease: timedelta = LEASE, owner: str | None = None
    ) -> None:
        """Publish what `store` holds through `publisher`; the caller closes both."""
        self._store = store
        self._publisher = publisher
        self._lease_seconds = lease.total_seconds()
        self._owner = owner or secrets.token_hex(8)
        self._lifecycle = Lifecycle(type(self).__name__)
        self._held: dict[str, str] = {}

    async def run(self) -> None:
        """Publish until `stop`; take over when the active relay has gone."""
        await self._lifecycle.run(self._work)

    def stop(self) -> None:
        """Publish the batch that has begun, give the lease back, and let `run` return."""
        self._lifecycle.stop()

    async def close(self) -> None:
        """Stop, and wait for `run` to return."""
        await self._lifecycle.close()

    async def _work(self) -> None:
        while not self._lifecycle.stopping.is_set():
            lease = await self._store.take_over(self._owner, self._lease_seconds)
            if lease is None:
                await self._lifecycle.rest(STAND_BY)
                continue
            try:
                await self._relay(lease)
            except LeaseLostError:
                continue

    async def _relay(self, lease: Lease) -> None:
        done: list[int] = []
        if lease.identity is not None:
            done = await self._publish(lease.batch, lease.identity)
        producer = secrets.token_hex(8)
        pauses = Backoff(SHORTEST_PAUSE, LONGEST_PAUSE)
        numbers = count(1)
        identity = BatchIdentity(producer, next(numbers))
        while True:
            stopping = self._lifecycle.stopping.is_set()
            batch = await self._store.next_batch(
                lease, seconds=self._lease_seconds, done=done, identity=identity, held=self._held
            )
            done = []
            if batch:
                done = await self._publish(batch, identity)
                identity = BatchIdentity(producer, next(numbers))
                pauses.reset()
            elif stopping:
                await self._store.release(lease)
                return
            else:
                await self._lifecycle.rest(pauses.next())

    async def _publish(self, batch: list[StoredMessage], identity: BatchIdentity) -> list[int]:
        """Publish a batch, again and again under the same identity; return the rows that the streams have."""
        backoff = Backoff()
        while True:
            try:
                rejected = await self._publisher.send([row.message for row in batch], identity)
            except ServerError:
                await self._lifecycle.rest(backoff.next())
                continue
            self._held |= {channel: str(error) for channel, error in rejected.items()}
            return [row.row_id for row in batch if row.message.channel not in rejected]
