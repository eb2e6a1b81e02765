"""Rows are read once each, in order per aggregate, whatever writers do between any two statements of a read."""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import MetaData

from domainstream.outbox import RelaySettings, StoredMessage, outbox_table
from domainstream.outbox.sql.read_position import Gap, ReadPosition
from domainstream.outbox.sql.row_reader import FIRST_COUNT, RowReader

CHANNELS = {"a": "orders", "b": "orders", "c": "invoices"}
"""The channel of each aggregate."""

SETTINGS = RelaySettings(batch_messages=3, batch_bytes=1_000, full_scan_every=timedelta(days=1))
NO_CHANNEL = frozenset[str]()


class Writer:
    """A transaction: it locks an aggregate, then draws numbers, then ends."""

    def __init__(self, name: str, aggregate: str) -> None:
        self.name = name
        self.aggregate = aggregate
        self.rows: list[int] = []


class SimulatedTable:
    """PostgreSQL as a reader sees it, statement by statement, while writers go on in between."""

    def __init__(self, chance: random.Random, *, with_gaps: bool = True) -> None:
        """Without gaps it is a database whose numbers become visible in order."""
        self.committed: dict[str, list[int]] = {aggregate: [] for aggregate in CHANNELS}
        """The rows of each aggregate in the order of their commits."""
        self.rows: dict[int, str] = {}
        """The visible rows, and their aggregates."""
        self.read_on, self.read_gaps, self.writers = "read_on", "read_gaps", "writers"
        if not with_gaps:
            self.read_gaps = self.writers = None  # type: ignore[assignment]
        self._chance = chance
        self._drawn = 0
        self._open: list[Writer] = []
        self._names = 0
        self._is_finished = False

    def array(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return it as it is."""
        return values

    async def fetch(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement of a reader, between others of the writers."""
        self.write()
        found = self._locks() if statement == "writers" else self._read(statement, **parameters)
        self.write()
        return found

    def write(self) -> None:
        """Let writers take some steps."""
        for _ in range(0 if self._is_finished else self._chance.randint(0, 4)):
            step = self._chance.choice(
                [self._begin, self._draw, self._draw, self._commit, self._commit, self._roll_back]
            )
            step()

    def finish(self) -> None:
        """Let all writers end, and none begin."""
        self._is_finished = True
        while self._open:
            self._chance.choice([self._commit, self._roll_back])()

    def _begin(self) -> None:
        free = [each for each in CHANNELS if each not in {writer.aggregate for writer in self._open}]
        if free:
            self._names += 1
            self._open.append(Writer(f"3/{self._names}", self._chance.choice(free)))

    def _draw(self) -> None:
        ready = [writer for writer in self._open if not writer.name.startswith("-1/")]
        if ready:
            writer = self._chance.choice(ready)
            for _ in range(self._chance.randint(1, 4)):
                self._drawn += 1
                if self._chance.random() < 0.8:  # else a savepoint is rolled back
                    writer.rows.append(self._drawn)

    def _commit(self) -> None:
        if self._open:
            writer = self._chance.choice(self._open)
            if self._chance.random() < 0.2 and not writer.name.startswith("-1/"):
                writer.name = f"-1/{writer.name}"  # it is prepared, and ends later
                return
            self._open.remove(writer)
            self.rows.update(dict.fromkeys(writer.rows, writer.aggregate))
            self.committed[writer.aggregate] += writer.rows

    def _roll_back(self) -> None:
        if self._open and self._chance.random() < 0.4:
            self._open.remove(self._chance.choice(self._open))

    def _locks(self) -> list[tuple[str]]:
        return [(writer.name,) for writer in self._open]

    def _read(self, statement: str, highest: int, count: int, held: Sequence[str], **gaps: Any) -> list[Any]:
        visible = [row_id for row_id, aggregate in sorted(self.rows.items()) if CHANNELS[aggregate] not in held]
        found = [row_id for row_id in visible if row_id > highest][:count]
        if statement == "read_gaps":
            ranges = list(zip(gaps["firsts"], gaps["lasts"], strict=True))
            late = [row_id for row_id in visible if any(first <= row_id <= last for first, last in ranges)]
            found = late[:count] + found
        return [(row_id, "", CHANNELS[self.rows[row_id]], self.rows[row_id].encode()) for row_id in found]


async def read_all(
    table: SimulatedTable, chance: random.Random, *, scans: bool = False, holds: bool = True
) -> dict[str, list[int]]:
    """Read while writers go on, and until all have ended; return the rows of each aggregate as they were read."""
    statements: Any = table
    connection: Any = table
    reader = RowReader(outbox_table(MetaData()), connection, statements, SETTINGS)
    read: dict[str, list[int]] = {aggregate: [] for aggregate in CHANNELS}
    held, quiet, turn = NO_CHANNEL, 0, 0
    while quiet < 3:
        turn += 1
        if turn < 40:
            if holds and chance.random() < 0.1:
                held = frozenset(["orders"]) - held
            if scans and chance.random() < 0.2:
                reader.next_scan = 0.0
        else:
            table.finish()
            held = NO_CHANNEL
        rows: list[StoredMessage] = await reader.read(held)
        assert len(rows) <= SETTINGS.batch_messages
        for row in rows:
            read[row.message.data.decode()].append(row.row_id)
            del table.rows[row.row_id]
        quiet = 0 if rows or turn < 45 else quiet + 1
    return read


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.booleans())
async def test_each_committed_row_is_read_once_and_in_order(seed: int, scans: bool, holds: bool) -> None:
    """Late committers, rollbacks, savepoints, prepared transactions and held channels cost no row and no order."""
    chance = random.Random(seed)
    table = SimulatedTable(chance)
    assert await read_all(table, chance, scans=scans, holds=holds) == table.committed


async def test_reading_on_alone_loses_rows() -> None:
    """The control: without gaps, rows that are committed late are lost, until the next scan from the beginning."""
    lost = 0
    for seed in range(10):
        table = SimulatedTable(random.Random(seed), with_gaps=False)
        read = await read_all(table, random.Random(seed), holds=False)
        lost += sum(len(table.committed[each]) - len(read[each]) for each in CHANNELS)
    assert lost > 0


def test_gap_without_writers_is_looked_at_once_more() -> None:
    """Whoever drew a skipped number may have committed after the read, and before writers were asked for."""
    position = ReadPosition()
    position.advance([1, 5], [], frozenset())
    assert [(gap.first, gap.last) for gap in position.gaps] == [(2, 4)]
    assert position.live_gaps([]) == []


def test_gap_lives_until_its_writers_have_ended() -> None:
    """Writers that began later cannot fill it."""
    position = ReadPosition()
    position.advance([1, 5], [], frozenset(["3/1", "3/2"]))
    assert position.live_gaps(["3/2", "3/9"]) == [Gap(2, 4, frozenset(["3/2"]))]
    assert position.live_gaps(["3/9"]) == []


def test_no_gap_is_dead_while_a_transaction_is_prepared() -> None:
    """A prepared transaction has another name than the writer that it was."""
    position = ReadPosition()
    position.advance([1, 5], [], frozenset(["3/1"]))
    assert position.live_gaps(["-1/777"]) == position.gaps


def test_row_in_a_gap_splits_it() -> None:
    """Numbers around a late row may still turn up."""
    position = ReadPosition()
    position.advance([1, 9], [], frozenset(["3/1"]))
    position.advance([4, 10], position.gaps, frozenset())
    assert [(gap.first, gap.last) for gap in position.gaps] == [(2, 3), (5, 8)]
    assert position.highest == 10


def test_scan_keeps_the_gaps_that_were_known() -> None:
    """A scan from the beginning makes no gaps where none were, however many writers are open."""
    position = ReadPosition()
    position.advance([*range(1, 50), 60], [], frozenset(["3/1"]))
    known = position.gaps
    position.restart()
    position.advance([61, 63], [], frozenset(["3/1", "3/2"]))
    assert position.gaps == [*known, Gap(62, 62, frozenset(["3/1", "3/2"]))]


def test_scan_of_an_empty_table_ends_where_it_was() -> None:
    """A scan that finds nothing goes on above the highest number, with the gaps below it."""
    position = ReadPosition()
    position.advance([1, 9], [], frozenset(["3/1"]))
    known = position.gaps
    position.restart()
    position.advance([], [], frozenset(), is_all=True)
    assert (position.highest, position.gaps, position.is_behind) == (9, known, False)


def test_rows_that_nobody_expected_are_counted() -> None:
    """A scan counts the rows below the old position that were in none of its gaps."""
    position = ReadPosition()
    position.advance([1, 5], [], frozenset(["3/1"]))
    position.restart()
    assert position.missed([1, 3, 5, 6]) == 2


def test_numbers_that_begin_anew_are_followed() -> None:
    """Once a scan has found rows that nobody expected, the position is where the rows end, not where it was."""
    position = ReadPosition()
    position.advance([100], [], frozenset())
    position.advance([], [], frozenset())
    position.restart()
    assert position.missed([1, 3]) == 2
    position.forget_expected()
    position.advance([1, 3], [], frozenset(["3/1"]), is_all=True)
    assert position.highest == 3
    assert position.gaps == [Gap(2, 2, frozenset(["3/1"]))]


class RecordedTable:
    """A table without gaps that records how many rows it is asked for."""

    def __init__(self) -> None:
        self.read_on, self.read_gaps, self.writers = "read_on", None, None
        self.sizes: dict[int, int] = {}
        """The sizes of the rows, by number."""
        self.asked: list[int] = []
        """The counts of the reads so far."""

    def array(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return it as it is."""
        return values

    async def fetch(self, _: str, highest: int, count: int, held: Sequence[str]) -> list[Any]:
        """Return the rows above `highest`."""
        self.asked.append(count)
        return [(each, "", "orders", b"x" * size) for each, size in self.sizes.items() if each > highest][:count]


def recorded_reader() -> tuple[RecordedTable, RowReader]:
    """Return a table and its reader, whose batches hold 100 rows and 1,000 bytes."""
    table: Any = RecordedTable()
    limits = RelaySettings(batch_messages=100, batch_bytes=1_000, full_scan_every=timedelta(days=1))
    return table, RowReader(outbox_table(MetaData()), table, table, limits)


async def test_rows_that_grow_are_asked_for_in_smaller_numbers() -> None:
    """A read whose rows do not fit into a batch is followed by a smaller one, even if it was not full."""
    table, reader = recorded_reader()
    table.sizes = dict.fromkeys(range(1, 117), 1) | dict.fromkeys(range(117, 216), 400)
    for _ in range(4):
        await reader.read(NO_CHANNEL)
    assert table.asked == [FIRST_COUNT, 100, 100, 2]


async def test_reader_asks_for_few_rows_after_a_takeover() -> None:
    """A read that was too large to be answered is not repeated."""
    table, reader = recorded_reader()
    table.sizes = dict.fromkeys(range(1, 117), 1)
    await reader.read(NO_CHANNEL)
    reader.restart()
    await reader.read(NO_CHANNEL)
    assert table.asked == [FIRST_COUNT, FIRST_COUNT]
