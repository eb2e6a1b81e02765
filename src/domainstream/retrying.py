"""Pauses between attempts: each up to twice as long as the one before, drawn at random, with a longest. Pure."""

import random
from datetime import timedelta


class Backoff:
    """The lengths of successive pauses.

    Attributes:
        first: The longest first pause.

        longest: Where doubling ends.
    """

    def __init__(
        self, first: timedelta = timedelta(milliseconds=50), longest: timedelta = timedelta(seconds=2)
    ) -> None:
        self.first = first
        self.longest = longest
        self._next = first

    def next(self) -> float:
        """Return the next pause in seconds, between half of its longest and all of it, and double the longest."""
        pause = self._next
        self._next = min(pause * 2, self.longest)
        return pause.total_seconds() * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret

    def reset(self) -> None:
        """Begin again with the first pause, after an attempt went well."""
        self._next = self.first
