"""Stores and redrives dead letters in memory. Implements `DeadLetters` and `DeadLetterRedrive`."""

from collections.abc import Sequence

from domainstream.stream.memory.streams import MemoryStreams
from domainstream.stream.port import DeadLetter, RedriveResult, StoredDeadLetter


class MemoryDeadLetters:
    """`DeadLetters` of `MemoryStreams`."""

    def __init__(self, streams: MemoryStreams, *, group: str) -> None:
        self.group = group
        """The consumer group in whose name entries are acknowledged."""
        self._streams = streams

    async def store(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Store and acknowledge; see `DeadLetters.store`."""
        for dead_letter in dead_letters:
            pending = self._streams.group(dead_letter.delivery.channel, self.group).pending
            if pending.pop(dead_letter.delivery.entry_id, None) is not None:
                stored = StoredDeadLetter(self._streams.next_id(), self.group, dead_letter)
                self._streams.stored_dead_letters.append(stored)

    async def close(self) -> None:
        """Do nothing: there are no connections."""


class MemoryDeadLetterRedrive:
    """The `DeadLetterRedrive` of what `MemoryDeadLetters` stores."""

    def __init__(self, streams: MemoryStreams) -> None:
        self._streams = streams

    async def page(self, channel: str, *, after: str = "", count: int = 100) -> list[StoredDeadLetter]:
        """Return a page of dead letters; see `DeadLetterRedrive.page`."""
        stored = self._of(channel)
        start = next((index + 1 for index, each in enumerate(stored) if each.dead_letter_id == after), 0)
        return stored[start : start + count]

    async def redrive(self, channel: str, *, dead_letter_id: str | None = None, count: int = 100) -> RedriveResult:
        """Move dead letters back; see `DeadLetterRedrive.redrive`."""
        wanted = [stored for stored in self._of(channel) if dead_letter_id in (None, stored.dead_letter_id)]
        with_data = [stored for stored in wanted if stored.dead_letter.delivery.data is not None][:count]
        entry_ids = [self._streams.add(channel, stored.dead_letter.delivery.data) for stored in with_data]
        for stored in with_data:
            self._streams.stored_dead_letters.remove(stored)
        without_data = [stored.dead_letter_id for stored in wanted if stored.dead_letter.delivery.data is None]
        return RedriveResult(tuple(entry_ids), tuple(without_data))

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _of(self, channel: str) -> list[StoredDeadLetter]:
        return [
            stored
            for stored in self._streams.stored_dead_letters
            if stored.dead_letter.delivery.channel == str(channel)
        ]
