"""What an outbox looks like from outside: its backlog, its relay, and who makes it wait. Changes nothing."""

from contextlib import AbstractContextManager, suppress
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Table, inspect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domainstream.errors import EventDecodingError
from domainstream.event import read_message
from domainstream.outbox.held_channels import HeldChannel
from domainstream.outbox.sql.connection import driver_errors
from domainstream.outbox.sql.errors import translated_errors
from domainstream.outbox.sql.inspection_queries import queries_for

COUNTED: Final = 100_000
"""Up to this many rows are counted; a larger backlog is estimated."""

LONG_MS: Final = 1_000
"""A transaction that has written to the outbox and is open for longer is listed."""

_NEEDS: Final = "looking at an outbox needs SELECT on it and on its relay table"


class RelayState(Struct, frozen=True, kw_only=True):
    """What the database knows of the relays of an outbox."""

    owner: str | None
    """The active relay, as `host:pid:random`; None while none has the lease."""

    epoch: int
    """How often a relay took over; 0 if none ever ran."""

    lease_ms: int
    """For how many milliseconds the lease is still valid; 0 or less when no relay is active."""

    published: int
    """How many rows were published in all."""

    noted: int
    """How many rows are noted: they are being published now, or were when the relay ended."""

    @property
    def is_active(self) -> bool:
        """Whether a relay has the lease."""
        return self.owner is not None and self.lease_ms > 0


class HeldState(Struct, frozen=True, kw_only=True):
    """A channel that the server rejects."""

    channel: str
    """The channel's value."""

    reason: str
    """The server's latest error."""

    attempts: int
    """How often it was rejected in a row."""

    since_ms: int
    """For how many milliseconds it has been held."""

    retry_ms: int
    """In how many milliseconds it is tried again; 0 or less when that is due."""

    rows: int
    """The rows that wait; at least, where the backlog is an estimate."""


class OpenWriter(Struct, frozen=True, kw_only=True):
    """A transaction in PostgreSQL that has written to the outbox, or locked it, and has not ended."""

    pid: int | None
    """The server's process; None for a prepared transaction."""

    prepared: str | None
    """The name of a prepared transaction; None for any other."""

    user: str | None
    """Whose it is."""

    application: str | None
    """The `application_name` of its connection."""

    address: str | None
    """Where it comes from; None for a local socket."""

    state: str | None
    """`active`, `idle in transaction` or `prepared`; None where the user may not see it."""

    open_ms: int | None
    """For how many milliseconds it has been open; None where the user may not see it."""

    lock: str
    """The strongest lock: `RowExclusiveLock` of a writer; others may stop everything."""


class OutboxStatus(Struct, frozen=True, kw_only=True):
    """An outbox at one moment."""

    table: str
    """The table's name, with its schema if it has one."""

    time_ms: int
    """The database's time, in milliseconds since 1970."""

    backlog: int
    """Rows that are not confirmed to be published."""

    is_estimate: bool
    """Whether `backlog` is an estimate, which it is above `COUNTED` rows."""

    oldest_ms: int | None
    """For how many milliseconds the row with the lowest number has been waiting; None if there is none.

    Counted from the beginning of the transaction that stored it, in PostgreSQL.
    """

    channels: dict[str, int]
    """Rows by channel, among the first `COUNTED`."""

    relay: RelayState
    """The active relay."""

    held: list[HeldState]
    """The channels that the server rejects."""

    writers: list[OpenWriter]
    """Transactions open for longer than `LONG_MS`, whose rows the relay cannot see yet; the oldest first."""

    dead_tuples: int | None
    """Deleted rows that PostgreSQL has not vacuumed yet, by its statistics; None for SQLite."""


class OutboxInspection:
    """Looks at the outbox `table`. For any number of tasks."""

    def __init__(self, engine: AsyncEngine, table: Table) -> None:
        """Look through `engine`, which the caller disposes of."""
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._table = table
        self._queries = queries_for(engine.dialect, table)

    async def exists(self) -> bool:
        """Return whether the database has the table; raise `OutboxUnavailableError` if it does not answer."""
        with self._translated_errors():
            async with self._engine.connect() as connection:
                return await connection.run_sync(
                    lambda sync: inspect(sync).has_table(self._table.name, schema=self._table.schema)
                )

    async def status(self) -> OutboxStatus:
        """Return what the outbox looks like now.

        Raises `OutboxUnavailableError` if the database does not answer, `OutboxError` if the tables do not exist or the
        user may not read them.
        """
        queries = self._queries
        with self._translated_errors():
            async with self._engine.connect() as connection:
                counted = await connection.execute(queries.rows, {"limit": COUNTED + 1})
                channels: dict[str, int] = {row[0]: row[1] for row in counted}
                oldest = (await connection.execute(queries.oldest)).scalar()
                estimate, dead = (await connection.execute(queries.statistics)).first() or (None, None)
                relay, held, now_ms = await self._relay(connection, channels)
                writers = await self._writers(connection)
        backlog = sum(channels.values())
        is_estimate = backlog > COUNTED
        return OutboxStatus(
            table=str(self._table.fullname),
            time_ms=now_ms,
            backlog=max(backlog, estimate or 0) if is_estimate else backlog,
            is_estimate=is_estimate,
            oldest_ms=None if oldest is None else max(0, oldest),
            channels=dict(sorted(channels.items())),
            relay=relay,
            held=held,
            writers=writers,
            dead_tuples=dead,
        )

    async def waiting(self, correlation_id: str) -> list[str]:
        """Return the ids of a transaction's events that are not confirmed to be in their streams.

        The database looks at every row. Raises what `status` raises.
        """
        part = msgspec.json.encode(correlation_id)[1:-1]
        with self._translated_errors():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(self._queries.waiting, {"part": part})).scalars().all()
        found = []
        for data in rows:
            with suppress(EventDecodingError):
                message = read_message(bytes(data))
                if correlation_id == (message.correlationid or message.id):
                    found.append(message.id)
        return found

    def _translated_errors(self) -> AbstractContextManager[None]:
        return translated_errors(self._table.fullname, driver_errors(self._engine), needs=_NEEDS)

    async def _relay(
        self, connection: AsyncConnection, channels: dict[str, int]
    ) -> tuple[RelayState, list[HeldState], int]:
        now_ms, *found = (await connection.execute(self._queries.relay)).one()
        owner, epoch, lease_until, published, pending, held_json = found
        held = msgspec.json.decode(held_json or "{}", type=dict[str, HeldChannel])
        state = RelayState(
            owner=owner,
            epoch=epoch or 0,
            lease_ms=(lease_until or 0) - now_ms if owner else 0,
            published=published or 0,
            noted=len(msgspec.json.decode(pending or "[]", type=list[int])),
        )
        held_states = [
            HeldState(
                channel=channel,
                reason=each.reason,
                attempts=each.attempts,
                since_ms=now_ms - each.since_ms,
                retry_ms=each.retry_at_ms - now_ms,
                rows=channels.get(channel, 0),
            )
            for channel, each in sorted(held.items())
        ]
        return state, held_states, now_ms

    async def _writers(self, connection: AsyncConnection) -> list[OpenWriter]:
        if self._queries.writers is None:
            return []
        found = (await connection.execute(self._queries.writers)).mappings()
        return [OpenWriter(**row) for row in found]
