"""How many entries of a stream to ask for, so that a read stays within its limits."""

from collections.abc import Sequence
from typing import Final

from domainstream.stream.port import Delivery, ReaderSettings

FIRST_COUNT: Final = 16
"""The count before anything is known: 16 entries of 256 KiB, the largest allowed, fill 4 MiB."""

SHARE: Final = 8
"""How many full reads a subscriber may hold at a time, over all its channels."""


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
        room = min(self._settings.max_entries / len(reply), self._settings.max_bytes / max(1, size_of(reply)))
        if room < 1:
            self.count = max(1, int(self.count * room))
        elif len(reply) >= self.count:
            self.count = min(self._settings.max_entries, int(self.count * min(2, room)))


class HeldEntries:
    """What all channels of a subscriber have read and not handed over yet, so that it does not fill the memory."""

    def __init__(self, settings: ReaderSettings) -> None:
        """Hold up to eight times the limits of a read, and a little more for each channel."""
        self._entries = SHARE * settings.max_entries
        self._bytes = SHARE * settings.max_bytes

    def reserve(self, count: int) -> int:
        """Return how many of `count` entries a channel may read now, at least one, and keep room for them."""
        granted = 1 if self._bytes <= 0 else min(count, max(FIRST_COUNT, self._entries))
        self._entries -= granted
        return granted

    def free(self, count: int) -> None:
        """Give reserved room back, as what was read is known."""
        self._entries += count

    def hold(self, entries: int, size: int) -> None:
        """Note how many entries were read, and their bytes."""
        self._entries -= entries
        self._bytes -= size

    def let_go(self, entries: int, size: int) -> None:
        """Note what was handed over, or given up."""
        self._entries += entries
        self._bytes += size


def size_of(deliveries: Sequence[Delivery]) -> int:
    """Return how many bytes of data deliveries have."""
    size = sum([len(delivery.data or b"") for delivery in deliveries])
    return size + sum([len(value) for delivery in deliveries if delivery.other for _, value in delivery.other])
