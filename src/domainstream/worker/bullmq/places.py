"""Shares the concurrency of a worker among the partitions of its queue, each of which has a tracker of its own.

Places are not divided beforehand: a partition that has jobs may use those of the others, down to an equal share for
each one that has jobs too. A tracker that gets fewer places than it could use waits in line, and is woken when places
become free. As long as one in line has no place at all, those behind it get none that it could have: with fewer places
than partitions, they take turns. A tracker whose calls fail has no claim, so that a dead node of a cluster holds up no
other.
"""

from typing import Protocol


class Claimant(Protocol):
    """A tracker that needs places."""

    @property
    def taken(self) -> int:
        """How many places it has."""
        ...

    @property
    def wants(self) -> bool:
        """Whether there may be jobs for it, and its server answers."""
        ...

    def look_again(self) -> None:
        """Look for free places."""
        ...


class Places:
    """The places of one worker. For one event loop."""

    def __init__(self, total: int) -> None:
        """Share `total` places."""
        self._total = total
        self._claimants: list[Claimant] = []
        # In the order in which they have come; a dict, because a set has none.
        self._line: dict[Claimant, None] = {}

    def join(self, claimant: Claimant) -> None:
        """Share the places with one more."""
        self._claimants.append(claimant)

    def free_for(self, claimant: Claimant) -> int:
        """Return how many more places a claimant may take; less than zero if it has more than its share."""
        sharing = sum(each.wants for each in self._claimants if each is not claimant) + 1
        share = -(-self._total // sharing)
        ahead = 0
        for each in self._line:
            if each is claimant and not each.taken:
                break
            ahead += each.wants and not each.taken
        return min(share - claimant.taken, self._free() - ahead)

    def wait(self, claimant: Claimant, *, in_line: bool) -> None:
        """Note whether a claimant could use more places than it gets; one that has some goes to the end of the line."""
        if claimant.taken or not in_line:
            self._line.pop(claimant, None)
        if in_line:
            self._line.setdefault(claimant)

    def changed(self, by: Claimant) -> None:
        """Wake those in line: `by` has given places back, or wants no more."""
        if self._line and self._free() > 0:
            for each in self._line:
                if each is not by:
                    each.look_again()

    def _free(self) -> int:
        return self._total - sum([each.taken for each in self._claimants])
