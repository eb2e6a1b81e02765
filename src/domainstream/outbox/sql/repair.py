"""Repairs of an outbox by hand: held channels that are tried at once, and rows that are never published.

Each works under the lock of the relay's row, as each turn of a relay does, so both may run at the same time.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, MetaData, Table, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domainstream.outbox.held_channels import HeldChannel
from domainstream.outbox.sql.connection import driver_errors
from domainstream.outbox.sql.errors import translated_errors
from domainstream.outbox.sql.statements import NOW_MS, statements_for
from domainstream.outbox.sql.tables import outbox_table, relay_table

CHUNK: Final = 5_000
"""Rows that are deleted in one transaction, so that the relay does not wait for long."""

REPAIR_NEEDS: Final = (
    "repairing an outbox needs SELECT and DELETE on it, and SELECT, INSERT and UPDATE on its relay table; replaying "
    "also needs INSERT on the outbox and SELECT on its archive, and purging DELETE on the archive"
)


class RowChoice(Struct, frozen=True, kw_only=True):
    """Rows of an outbox that have something in common."""

    channel: str | None = None
    """The channel; None for any."""

    event_ids: tuple[str, ...] = ()
    """The ids of the events; empty for any."""

    def conditions(self, table: Table) -> list[ColumnElement[bool]]:
        """Return the choice as conditions on the columns of `table`."""
        return [
            *([] if self.channel is None else [table.c.channel == self.channel]),
            *([table.c.event_id.in_(self.event_ids)] if self.event_ids else []),
        ]


class Counted(Struct, frozen=True, kw_only=True):
    """The rows of a choice at one moment."""

    rows: int
    """How many there are."""

    last_id: int
    """The highest of their numbers; 0 for none."""


class Discarded(Struct, frozen=True, kw_only=True):
    """What became of the rows of a choice."""

    rows: int
    """How many were deleted; they are never published."""

    noted: int
    """How many a relay is publishing at this moment, or was when it ended; they are left alone."""


class OutboxRepair:
    """Repairs the outbox `table`. For any number of tasks."""

    def __init__(self, engine: AsyncEngine, table: Table) -> None:
        """Work through `engine`, which the caller disposes of."""
        self._engine = engine
        self._outbox = outbox_table(MetaData(), name=table.name, schema=table.schema)
        self._relay = relay_table(self._outbox)
        self._create_row = statements_for(engine.dialect, table, archive=False).create_row
        self._now = text(f"SELECT {NOW_MS[engine.dialect.name]}")

    async def retry(self, channels: Sequence[str] = ()) -> list[str]:
        """Let held channels be tried in the relay's next turn; all of them for no names. Return which they are."""
        async with self._locked() as (connection, held, _):
            now_ms = (await connection.execute(self._now)).scalar_one()
            chosen = [channel for channel in held if not channels or channel in channels]
            for channel in chosen:
                held[channel] = msgspec.structs.replace(held[channel], retry_at_ms=now_ms)
            await self._note_held(connection, held)
        return chosen

    async def count(self, choice: RowChoice) -> Counted:
        """Count the rows of a choice."""
        with self._translated_errors():
            async with self._engine.connect() as connection:
                ids = self._outbox.c.id
                query = select(func.count(), func.coalesce(func.max(ids), 0)).where(*choice.conditions(self._outbox))
                rows, last_id = (await connection.execute(query)).one()
        return Counted(rows=rows, last_id=last_id)

    async def discard(self, choice: RowChoice, *, last_id: int) -> Discarded:
        """Delete the rows of a choice up to the number `last_id`; their events are never published.

        Rows that a relay has noted are left alone, because their events may be in their streams already.
        """
        ids = self._outbox.c.id
        after = rows = left_alone = 0
        while True:
            async with self._locked() as (connection, held, noted):
                query = select(ids).where(ids > after, ids <= last_id, *choice.conditions(self._outbox))
                found = (await connection.execute(query.order_by(ids).limit(CHUNK))).scalars().all()
                chosen = set(found) - noted
                await connection.execute(delete(self._outbox).where(ids.in_(chosen)))
                await self._note_held(connection, _without_rows(held, chosen))
            rows, left_alone = rows + len(chosen), left_alone + len(found) - len(chosen)
            if len(found) < CHUNK:
                return Discarded(rows=rows, noted=left_alone)
            after = found[-1]

    def _translated_errors(self) -> AbstractContextManager[None]:
        return translated_errors(self._outbox.fullname, driver_errors(self._engine), needs=REPAIR_NEEDS)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[tuple[AsyncConnection, dict[str, HeldChannel], set[int]]]:
        """Lock the relay's row for a transaction; yield the held channels and the numbers of the noted rows."""
        columns = self._relay.c
        lock = (
            update(self._relay)
            .where(columns.name == self._outbox.name)
            .values(held=columns.held)
            .returning(columns.held, columns.pending)
        )
        with self._translated_errors():
            async with self._engine.begin() as connection:
                await connection.execute(self._create_row)
                held, pending = (await connection.execute(lock)).one()
                noted = set(msgspec.json.decode(pending, type=list[int]))
                yield connection, msgspec.json.decode(held, type=dict[str, HeldChannel]), noted

    async def _note_held(self, connection: AsyncConnection, held: dict[str, HeldChannel]) -> None:
        values: dict[str, Any] = {"held": msgspec.json.encode(held).decode()}
        await connection.execute(update(self._relay).where(self._relay.c.name == self._outbox.name).values(values))


def _without_rows(held: dict[str, HeldChannel], row_ids: set[int]) -> dict[str, HeldChannel]:
    """Return the held channels when these rows are gone; a channel whose rejected rows are all gone is released."""
    left = {channel: [row_id for row_id in each.row_ids if row_id not in row_ids] for channel, each in held.items()}
    return {
        channel: msgspec.structs.replace(each, row_ids=left[channel]) for channel, each in held.items() if left[channel]
    }
