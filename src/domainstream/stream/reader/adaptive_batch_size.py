"""How many entries to ask of each channel, so that the whole reply stays within its limits.

XREADGROUP has a COUNT for each stream, but none for the reply, and no limit of bytes.
"""

from collections.abc import Sequence
from typing import Final

from domainstream.stream.port import Delivery
from domainstream.stream.settings import ReaderSettings

FIRST_COUNT: Final = 16
"""The count before anything is known: 16 entries of 256 KiB, the largest allowed, fill 4 MiB."""


class AdaptiveBatchSize:
    """Learns from each reply how many entries per channel the next one may hold.

    A reply that was larger than its limits shrinks the next one in proportion; one that could have been larger lets it
    grow, at most twofold.
    """

    def __init__(self, settings: ReaderSettings, channels: int) -> None:
        """Begin with a small count: all of `channels` may have entries waiting."""
        self._settings = settings
        self.count = max(1, min(FIRST_COUNT, settings.max_entries // max(1, channels)))
        """How many entries of each channel to ask for."""

    def learn(self, reply: Sequence[Delivery], fullest: int) -> None:
        """Learn from a reply whose fullest channel returned `fullest` entries."""
        if not reply:
            return
        size = sum(len(delivery.data or b"") for delivery in reply)
        room = min(self._settings.max_entries / len(reply), self._settings.max_bytes / max(1, size))
        if room < 1:
            self.count = max(1, int(self.count * room))
        elif fullest >= self.count:
            self.count = min(self._settings.max_entries, int(self.count * min(2, room)))
