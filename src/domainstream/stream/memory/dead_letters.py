"""Keeps and redrives dead letters in memory. Implements `port.DeadLetters` and `port.DeadLetterRedrive`."""

from collections.abc import Sequence

from domainstream.stream.memory.streams import MemoryStreams
from domainstream.stream.port import DeadLetter, RedriveResult, StoredDeadLetter


class MemoryDeadLetters:
    """`DeadLetters` of `MemoryStreams`."""

    def __init__(self, streams: MemoryStreams, *, group: str) -> None:
        self.group = group
        """The consumer group in whose name entries are acknowledged."""
        self._streams = streams

    async def store(self, letters: Sequence[DeadLetter]) -> None:
        """Store and acknowledge; see `port.DeadLetters.store`."""
        for letter in letters:
            pending = self._streams.group(letter.delivery.channel, self.group).pending
            if pending.pop(letter.delivery.entry_id, None) is not None:
                self._streams.buried.append(StoredDeadLetter(self._streams.next_id(), self.group, letter))

    async def close(self) -> None:
        """Do nothing: there are no connections."""


class MemoryDeadLetterRedrive:
    """The `DeadLetterRedrive` of what `MemoryDeadLetters` buries."""

    def __init__(self, streams: MemoryStreams) -> None:
        self._streams = streams

    async def letters(self, channel: str, *, after: str = "", count: int = 100) -> list[StoredDeadLetter]:
        """Return a page of letters; see `port.DeadLetterRedrive.letters`."""
        letters = self._of(channel)
        behind = next((index + 1 for index, one in enumerate(letters) if one.dead_letter_id == after), 0)
        return letters[behind : behind + count]

    async def redrive(self, channel: str, *, dead_letter_id: str | None = None, count: int = 100) -> RedriveResult:
        """Move letters back; see `port.DeadLetterRedrive.redrive`."""
        wanted = [one for one in self._of(channel) if dead_letter_id in (None, one.dead_letter_id)]
        with_data = [one for one in wanted if one.letter.delivery.data is not None][:count]
        entry_ids = [self._streams.add(channel, one.letter.delivery.data) for one in with_data]
        for one in with_data:
            self._streams.buried.remove(one)
        without = [one.dead_letter_id for one in wanted if one.letter.delivery.data is None]
        return RedriveResult(tuple(entry_ids), tuple(without))

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _of(self, channel: str) -> list[StoredDeadLetter]:
        return [one for one in self._streams.buried if one.letter.delivery.channel == str(channel)]
