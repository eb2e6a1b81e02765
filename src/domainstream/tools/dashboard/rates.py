"""How many entries are added to streams in a second, from how many were ever added at two looks."""

from collections.abc import Callable
from time import monotonic
from typing import Final

SHORTEST: Final = 2.0
"""Seconds between two looks that make a rate."""

LONGEST: Final = 120.0
"""Seconds after which an earlier look says nothing about now."""


class Rates:
    """The rates of streams by their names. For one task at a time."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Take the time of a look from `clock`, in seconds."""
        self._clock = clock
        self._looks: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, float] = {}

    def note(self, stream: str, added: int | None) -> float | None:
        """Note how many entries were ever added to a stream, and return its rate; None while that is not known.

        `added` is None where the server does not say it.
        """
        if added is None:
            return None
        now = self._clock()
        then, before = self._looks.get(stream, (float("-inf"), 0))
        if now - then > LONGEST or added < before:
            self._looks[stream] = now, added
            self._rates.pop(stream, None)
        elif now - then >= SHORTEST:
            self._looks[stream] = now, added
            self._rates[stream] = (added - before) / (now - then)
        return self._rates.get(stream)
