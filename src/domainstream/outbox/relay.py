"""Publishes what an outbox stores: one relay at a time, each row as one entry, wherever it dies.

In turn: the database deletes the rows of the last batch, returns the next ones, and notes under which identity they are
about to be published, all in one transaction; then they are published under that identity. A relay that dies in between
leaves the note. Its successor sends the noted rows again under the noted identity, which adds nothing if they were
added before, and goes on under an identity of its own.

A server that has lost its memory, as after FLUSHALL, adds a repeated batch again, for nothing says that it was there.
So each producer leaves a mark at the server before its first batch is noted. A repeat that finds the mark gone is
reported.
"""

import os
import secrets
import socket
from contextlib import AsyncExitStack
from itertools import count
from time import monotonic
from types import TracebackType
from typing import Final, Self

from msgspec import Struct
from sqlalchemy import MetaData, Table

from domainstream.errors import OutboxUnavailableError
from domainstream.health import Health
from domainstream.lifecycle import Lifecycle
from domainstream.outbox.held_channels import Held
from domainstream.outbox.pauses import Pauses
from domainstream.outbox.port import (
    BatchPublisher,
    CommitListener,
    Lease,
    LeaseLostError,
    OutboxStore,
    SettledBatch,
)
from domainstream.outbox.retrying_publisher import NoAnswerError, RetryingPublisher, pause_after
from domainstream.outbox.settings import DEFAULT_SETTINGS, RelaySettings
from domainstream.outbox.sql.engine import open_engine
from domainstream.outbox.sql.notifications import NotificationListener
from domainstream.outbox.sql.store import SqlOutboxStore
from domainstream.outbox.sql.tables import outbox_table
from domainstream.publisher import BatchIdentity, RedisBatchPublisher, Retention
from domainstream.retrying import Backoff, is_worth_logging
from domainstream.telemetry import Signal, emit

STAND_BY: Final = 1.0
"""Seconds between two attempts to take over."""


class RelayStats(Struct, frozen=True, kw_only=True):
    """What a relay has done since it started."""

    is_active: bool
    """Whether it publishes now; False while another relay does."""

    published: int
    """Rows that it published."""

    takeovers: int
    """How often it became the active one."""

    epoch: int
    """Of its latest lease: counts the takeovers of this outbox by any relay. 0 if it was never active."""

    held: Held
    """The channels that the server rejects, with the reason."""


class OutboxRelay:
    """Publishes the events of one outbox. Any number may run: one is active, the others stand by.

    Usage::

        async with OutboxRelay.from_url(redis_url, database_url=database_url) as relay:
            await relay.run()
    """

    def __init__(
        self,
        store: OutboxStore,
        publisher: BatchPublisher,
        *,
        settings: RelaySettings = DEFAULT_SETTINGS,
        listener: CommitListener | None = None,
    ) -> None:
        """Publish what `store` holds through `publisher`; the caller closes both.

        `listener` ends pauses where the settings have `wake="notify"`. Raises `ConfigurationError` if it is missing.
        """
        self._store = store
        self._settings = settings
        # The first parts say to people where the active relay runs.
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lifecycle = Lifecycle(type(self).__name__)
        self._publisher = RetryingPublisher(publisher, self._lifecycle, lease=settings.lease)
        self._pauses = Pauses(self._lifecycle, settings, listener)
        self._owned = AsyncExitStack()
        self._failure: OutboxUnavailableError | None = None
        self._backoff, self._failures = Backoff(), 0
        self._is_active = False
        self._takeovers = self._epoch = 0
        self._held: Held = {}

    @property
    def stats(self) -> RelayStats:
        """What it has done, and which channels are held."""
        return RelayStats(
            is_active=self._is_active,
            published=self._publisher.published,
            takeovers=self._takeovers,
            epoch=self._epoch,
            held=self._held,
        )

    @classmethod
    def from_url(
        cls,
        redis_url: str,
        *,
        database_url: str,
        table: Table | None = None,
        prefix: str = "",
        retention: Retention | None = None,
        settings: RelaySettings = DEFAULT_SETTINGS,
    ) -> Self:
        """Return a relay that owns its connections; it connects when it runs.

        `table` is the outbox's, by default `domainstream_outbox`; `prefix` begins the key of every stream. Raises
        `ConfigurationError` for an invalid URL, and for notifications without PostgreSQL; `OutboxError` for a database
        that is not supported.
        """
        engine = open_engine(database_url)
        publisher = RedisBatchPublisher.from_url(
            redis_url,
            prefix=prefix,
            retention=retention,
            dedup_window=settings.dedup_window,
            confirm=settings.confirm,
            index=settings.index,
        )
        table = outbox_table(MetaData()) if table is None else table
        store = SqlOutboxStore(engine, table, settings)
        listener = NotificationListener(engine, table) if settings.wake == "notify" else None
        relay = cls(store, publisher, settings=settings, listener=listener)
        relay._owned.push_async_callback(engine.dispose)
        relay._owned.push_async_callback(store.close)
        relay._owned.push_async_callback(publisher.close)
        return relay

    async def run(self) -> None:
        """Publish until `stop`, and take over when the active relay is gone.

        Raises `OutboxError` when the outbox cannot be worked on, as when its table does not exist. While the database
        or Redis cannot be reached, everything waits.
        """
        await self._lifecycle.run(self._work)

    def stop(self) -> None:
        """Finish the batch that has begun, give the lease back, and let `run` return."""
        self._lifecycle.stop()

    async def health(self) -> Health:
        """Return whether it publishes or stands by; never raises."""
        problem = self._lifecycle.problem or str(self._publisher.failure or self._failure or "")
        if not self._lifecycle.is_running:
            problem = problem or "the relay does not run"
        return Health(ok=not problem, problem=problem or None)

    async def close(self) -> None:
        """Stop, wait for `run` to return, and close what `from_url` opened."""
        await self._lifecycle.close(self._owned.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _work(self) -> None:
        async with self._pauses.ended_by_commits():
            await self._take_turns()

    async def _take_turns(self) -> None:
        """Publish whenever this relay is the active one, until stopped."""
        while not self._lifecycle.stopping.is_set():
            try:
                lease = await self._store.take_over(self._owner)
                if lease is None:
                    self._note_answer()
                    self._publisher.failure = None
                    await self._lifecycle.rest(STAND_BY)
                    continue
                await self._relay(lease)
            except LeaseLostError as error:
                emit(Signal.OUTBOX_LEASE_LOST, reason=error)
            except OutboxUnavailableError as error:
                self._failure, self._failures = error, self._failures + 1
                await pause_after(error, self._backoff, self._failures, self._lifecycle)
            finally:
                self._is_active = False

    async def _relay(self, lease: Lease) -> None:
        """Publish under one lease, until it is lost, Redis is away for too long, or the relay is stopped."""
        self._is_active = True
        self._takeovers += 1
        self._epoch = lease.epoch
        repeated = len(lease.unsettled.rows) if lease.unsettled else 0
        emit(Signal.OUTBOX_TAKEN_OVER, epoch=lease.epoch, repeated=repeated)
        settled: SettledBatch | None = None
        # Drawn anew for each lease: an identity is never used again with other content.
        producer, sequence = secrets.token_hex(8), count(1)
        identity = BatchIdentity(producer, next(sequence))
        next_introduction = 0.0
        try:
            if lease.unsettled is not None:
                settled = await self._publisher.publish(lease.unsettled, is_repeat=True)
            while not self._lifecycle.stopping.is_set():
                if monotonic() >= next_introduction:
                    await self._publisher.introduce(producer)
                    next_introduction = monotonic() + self._settings.dedup_window.total_seconds() / 2
                claim = await self._store.next_batch(lease, settled, identity)
                self._note_answer()
                settled = None
                _report_held(self._held, claim.held)
                self._held = claim.held
                if claim.batch is not None:
                    settled = await self._publisher.publish(claim.batch, is_repeat=claim.batch.identity != identity)
                    identity = BatchIdentity(producer, next(sequence))
                    self._pauses.reset()
                else:
                    await self._pauses.rest()
        except NoAnswerError:
            if not self._lifecycle.stopping.is_set():
                return
        await self._store.release(lease, settled)

    def _note_answer(self) -> None:
        """Note that the database works: a takeover alone does not show it, because the claims after it may fail."""
        if self._failures:
            self._backoff.reset()
            self._failure, self._failures = None, 0


def _report_held(before: Held, after: Held) -> None:
    """Report channels that were rejected or taken again since the last turn."""
    for channel, each in after.items():
        known = before.get(channel)
        if (known is None or known.attempts != each.attempts) and is_worth_logging(each.attempts):
            emit(Signal.OUTBOX_CHANNEL_HELD, channel=channel, attempts=each.attempts, reason=each.reason)
    for channel in before.keys() - after.keys():
        emit(Signal.OUTBOX_CHANNEL_RELEASED, channel=channel)
