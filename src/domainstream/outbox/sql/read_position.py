"""Which numbers of rows may still turn up below the highest one that was read.

Numbers are drawn before a transaction commits, so a row with a low number may become visible after one with a high
number. Reading on from the highest would lose it. Each number that was skipped is a gap, which is looked at again
until nobody can fill it: PostgreSQL lets a transaction draw a number only while it holds a lock on the table, so a gap
is dead once every transaction that held one when the gap was first seen has ended. That has to be asked *before* the
snapshot which looks at the gap for the last time, and who holds a lock, *after* the snapshot which showed the gap.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct

PREPARED: Final = "-1/"
"""A prepared transaction changes its name, so nothing says which one it was: until it ends, no gap is dead."""


class Gap(Struct, frozen=True, gc=False):
    """Numbers that were skipped."""

    first: int
    """The lowest."""

    last: int
    """The highest."""

    writers: frozenset[str]
    """The transactions that may still fill it."""


class ReadPosition:
    """How far a relay has read: the highest number, and the gaps below it. In memory only: it may be wrong.

    Whatever it misses stays in the table, and the next scan from the beginning finds it.
    """

    def __init__(self) -> None:
        self.highest = 0
        """The highest number that was read."""
        self.gaps: list[Gap] = []
        """The gaps below it, in order."""
        self._expected_highest = 0
        self._expected_gaps: list[Gap] = []

    def restart(self) -> None:
        """Begin at the lowest number again. Only what may fill a gap is expected to turn up below the old position.

        So numbers below it become gaps again only if they were: a writer that stays open would otherwise make every
        read look at all of them.
        """
        if self.highest >= self._expected_highest:
            self._expected_highest, self._expected_gaps = self.highest, self.gaps
        self.highest, self.gaps = 0, []

    @property
    def is_behind(self) -> bool:
        """Whether it has not come as far again as it was before the last `restart`."""
        return self.highest < self._expected_highest

    def missed(self, ids: Iterable[int]) -> int:
        """Return how many of these numbers the position of before would have missed."""
        gaps = self._expected_gaps
        return sum(
            row_id <= self._expected_highest and not any(gap.first <= row_id <= gap.last for gap in gaps)
            for row_id in ids
            if row_id > self.highest
        )

    def forget_expected(self) -> None:
        """Expect rows at any number again, because the position of before was wrong: numbers may have begun anew."""
        self._expected_highest, self._expected_gaps = 0, []

    def live_gaps(self, writers: Collection[str]) -> list[Gap]:
        """Return the gaps that must be looked at once more after the next read, given who held a lock before it."""
        if any(writer.startswith(PREPARED) for writer in writers):
            return self.gaps
        live = [Gap(gap.first, gap.last, gap.writers.intersection(writers)) for gap in self.gaps]
        return [gap for gap in live if gap.writers]

    def advance(
        self, ids: Sequence[int], kept: Sequence[Gap], writers: frozenset[str] | None, *, is_all: bool = False
    ) -> None:
        """Note that these numbers were read, in ascending order; with `is_all`, nothing was left above them.

        `kept` are the gaps that stay, and `writers` those who held a lock after the read; None where a number that was
        skipped cannot turn up. A gap without writers is looked at once more as well: whoever could fill it may have
        committed after the snapshot that showed it, and before writers were asked for.
        """
        below = [row_id for row_id in ids if row_id <= self.highest]
        gaps = [piece for gap in kept for piece in _without(gap, below)]
        above = ids[len(below) :]
        if above and above[-1] - self.highest == len(above):  # none was skipped
            self.highest = above[-1]
            above = ()
        for row_id in above:
            gaps += self._skipped(self.highest + 1, row_id - 1, writers)
            self.highest = row_id
        if is_all and self.is_behind:
            gaps += self._skipped(self.highest + 1, self._expected_highest, writers)
            self.highest = self._expected_highest
        self.gaps = gaps

    def _skipped(self, first: int, last: int, writers: frozenset[str] | None) -> list[Gap]:
        """Return the gaps in a range without rows."""
        if writers is None or first > last:
            return []
        known = [
            Gap(max(first, gap.first), min(last, gap.last), gap.writers)
            for gap in self._expected_gaps
            if gap.first <= last and gap.last >= first
        ]
        new = max(first, self._expected_highest + 1)
        return [*known, Gap(new, last, writers)] if new <= last else known


def _without(gap: Gap, ids: Sequence[int]) -> list[Gap]:
    """Return what is left of a gap when these numbers have turned up."""
    pieces, first = [], gap.first
    for row_id in ids:
        if gap.first <= row_id <= gap.last:
            if row_id > first:
                pieces.append(Gap(first, row_id - 1, gap.writers))
            first = row_id + 1
    if first <= gap.last:
        pieces.append(Gap(first, gap.last, gap.writers))
    return pieces
