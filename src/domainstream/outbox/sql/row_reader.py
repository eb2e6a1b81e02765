"""Reads the next rows of an outbox: above the highest number read so far, and in the gaps below it.

One statement looks at both, and so one snapshot: with two, a late row and the next one of its aggregate could be
committed in between, and come out in the wrong order. The position is in memory alone, and no event hangs on it: a row
stays until it is published, and a full scan finds whatever reading on has missed.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from time import monotonic
from typing import Any, Final

from sqlalchemy import Table, TextClause

from domainstream.outbox.port import StoredMessage
from domainstream.outbox.settings import RelaySettings
from domainstream.outbox.sql.connection import KeptConnection
from domainstream.outbox.sql.read_position import ReadPosition
from domainstream.outbox.sql.statements import Statements
from domainstream.producer import OutgoingMessage
from domainstream.telemetry import Signal, emit

FIRST_COUNT: Final = 16
"""Rows in the first read, before anything is known of their size."""


class RowReader:
    """Reads the rows of one outbox, for one relay."""

    def __init__(
        self, table: Table, connection: KeptConnection, statements: Statements, settings: RelaySettings
    ) -> None:
        """Read `table` by these statements, in transactions that the caller begins."""
        self.position = ReadPosition()
        """How far was read."""
        self.next_scan = 0.0
        """When the table is read from its beginning again, on the clock of `time.monotonic`."""
        self._table = table
        self._connection = connection
        self._statements = statements
        self._settings = settings
        self._left_out: frozenset[str] = frozenset()
        self._ever_held: set[str] = set()
        self._count = min(FIRST_COUNT, settings.batch_messages)

    def restart(self) -> None:
        """Forget how far was read, after a takeover."""
        self.position, self.next_scan = ReadPosition(), 0.0
        self._count = min(FIRST_COUNT, self._settings.batch_messages)  # the last read may have been too large

    async def noted(self, row_ids: Sequence[int]) -> list[StoredMessage]:
        """Return those of these rows that are still there."""
        return await self._rows(self._statements.noted, {"ids": self._statements.numbers(row_ids)})

    async def read(self, held: frozenset[str]) -> list[StoredMessage]:
        """Return the next rows of channels that are not `held`, and note in memory how far was read."""
        self._begin_scan_if_due(held)
        position, statements = self.position, self._statements
        live, statement = position.gaps, statements.read_on
        parameters: dict[str, Any] = {
            "highest": position.highest,
            "count": self._count,
            "held": statements.array(sorted(held)),
        }
        if position.gaps and statements.read_gaps is not None:
            # Who may fill a gap is asked before the snapshot that looks at it, which the next statement takes.
            live, statement = position.live_gaps(await self._writers() or ()), statements.read_gaps
            parameters["firsts"] = [gap.first for gap in position.gaps]
            parameters["lasts"] = [gap.last for gap in position.gaps]
        found = await self._rows(statement, parameters)
        late = bisect_right(found, position.highest, key=attrgetter("row_id"))
        # Where gaps may hold more rows than were found, rows above them must not overtake those.
        more_in_gaps = late >= self._count
        rows = self._within_limits(found[:late] if more_in_gaps else found)
        ids = [row.row_id for row in rows]
        below = min(late, len(rows))
        is_all = len(rows) == len(found) and len(found) - late < self._count and not more_in_gaps
        if more_in_gaps or len(rows) < len(found):
            live = position.gaps
        if position.is_behind:
            self._note_missed(rows)
        skipped = below < len(ids) and ids[-1] - position.highest > len(ids) - below
        # ... and who may fill a new gap, after the snapshot that showed it.
        writers = await self._writers() if skipped else frozenset()
        position.advance(ids, live, writers, is_all=is_all)
        self._learn_count(len(found), rows)
        return rows

    def _begin_scan_if_due(self, held: frozenset[str]) -> None:
        """Begin at the lowest number again: from time to time, and when the pause of a held channel is over."""
        if self._left_out - held or monotonic() >= self.next_scan:
            self.position.restart()
            self.next_scan = monotonic() + self._settings.full_scan_every.total_seconds()
        self._left_out = held
        self._ever_held |= held

    def _note_missed(self, rows: Sequence[StoredMessage]) -> None:
        """Report rows that reading on would have missed, and trust the position of before no longer."""
        missed = self.position.missed(row.row_id for row in rows if row.message.target not in self._ever_held)
        if missed:
            emit(Signal.OUTBOX_ROWS_FOUND_LATE, outbox=self._table.fullname, rows=missed)
            self.position.forget_expected()

    def _within_limits(self, rows: list[StoredMessage]) -> list[StoredMessage]:
        """Return the first of these rows, as many as a batch may hold, but at least one."""
        sizes = list(accumulate([len(row.message.data) for row in rows]))
        return rows[: max(1, min(self._settings.batch_messages, bisect_right(sizes, self._settings.batch_bytes)))]

    def _learn_count(self, found: int, rows: Sequence[StoredMessage]) -> None:
        """Choose how many rows to ask for next, so that a batch of them hardly exceeds its bytes."""
        if rows and (found >= self._count or len(rows) < found):
            size = sum([len(row.message.data) for row in rows]) / len(rows)
            fitting = int(self._settings.batch_bytes / max(1.0, size))
            self._count = max(1, min(self._settings.batch_messages, fitting, self._count * 8))

    async def _writers(self) -> frozenset[str] | None:
        """Return the transactions that may fill gaps; None where no number that was skipped can turn up."""
        if self._statements.writers is None:
            return None
        return frozenset(writer for (writer,) in await self._connection.fetch(self._statements.writers))

    async def _rows(self, statement: TextClause, parameters: Mapping[str, Any]) -> list[StoredMessage]:
        return [
            StoredMessage(row_id, OutgoingMessage(target, event_id, data))
            for row_id, event_id, target, data in await self._connection.fetch(statement, **parameters)
        ]
