"""Pauses between attempts, and how often failures are logged: for every loop that repeats what failed."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta


class Backoff:
    """The lengths of successive pauses: each up to twice as long as the one before, drawn at random."""

    def __init__(
        self, first: timedelta = timedelta(milliseconds=50), longest: timedelta = timedelta(seconds=2)
    ) -> None:
        self.first = first
        """The longest first pause."""
        self.longest = longest
        """Where doubling ends."""
        self._next = first

    def next(self) -> float:
        """Return the next pause in seconds, between half of its longest and all of it, and double the longest."""
        pause = self._next
        self._next = min(pause * 2, self.longest)
        return pause.total_seconds() * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret

    def reset(self) -> None:
        """Begin again with the first pause, after an attempt succeeded."""
        self._next = self.first


def is_worth_logging(attempt: int) -> bool:
    """Return whether to log the failure of an attempt: 1, 2, 4, 8, ..., so that a long outage does not fill the log."""
    return attempt & (attempt - 1) == 0


class LoggedBackoff:
    """Repeats one thing: pauses after each failure, and reports only some of them."""

    def __init__(
        self, report: Callable[[float, Exception], None], *, longest: timedelta = timedelta(seconds=1)
    ) -> None:
        """Call `report` with the pause in seconds and the error, for the failures 1, 2, 4, 8, ... in a row."""
        self.failures = 0
        """Failures in a row; 0 after a success."""
        self._report = report
        self._backoff = Backoff(longest=longest)

    async def pause(self, error: Exception) -> None:
        """Wait before the next attempt."""
        self.failures += 1
        pause = self._backoff.next()
        if is_worth_logging(self.failures):
            self._report(pause, error)
        await asyncio.sleep(pause)

    def reset(self) -> None:
        """Begin anew, after an attempt succeeded."""
        if self.failures:
            self.failures = 0
            self._backoff.reset()
