"""How many entries of a stream to ask for, so that a read stays within its limits."""

from collections.abc import Sequence
from typing import Final

from domainstream.stream.port import Delivery, ReaderSettings

FIRST_COUNT: Final = 16
"""The count before anything is known: 16 entries of 256 KiB, the largest allowed, fill 4 MiB."""


class AdaptiveBatchSize:
    """Learns from each read how many entries the next one may ask for: XREADGROUP has no limit of bytes.

    A read that was larger than its limits shrinks the next one in proportion; one that could have been larger lets it
    grow, at most twofold.
    """

    def __init__(self, settings: ReaderSettings) -> None:
        """Begin with a small count."""
        self._settings = settings
        self.count = min(FIRST_COUNT, settings.max_entries)
        """How many entries to ask for."""

    def learn(self, reply: Sequence[Delivery]) -> None:
        """Learn from what was read."""
        if not reply:
            return
        size = sum(len(delivery.data or b"") for delivery in reply)
        size += sum(len(value) for delivery in reply if delivery.other for _, value in delivery.other)
        room = min(self._settings.max_entries / len(reply), self._settings.max_bytes / max(1, size))
        if room < 1:
            self.count = max(1, int(self.count * room))
        elif len(reply) >= self.count:
            self.count = min(self._settings.max_entries, int(self.count * min(2, room)))
