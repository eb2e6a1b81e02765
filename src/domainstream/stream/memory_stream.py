"""Streams in memory: the ports of this stage without a server, for tests and for reading. Implements `port`."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from domainstream.stream.port import DeadLetter, Delivery

BLOCK: Final = 1.0
"""Seconds that a read waits for news."""


class _Group:
    """One consumer group of one channel: how far it has read, and what each consumer has not acknowledged."""

    def __init__(self) -> None:
        self.read = 0
        self.pending: dict[str, str] = {}


class MemoryStreams:
    """What the server would hold: a list of entries per channel, and the groups that read them.

    Attributes:
        entries: The entries of each channel, oldest first.

        dead: The dead letters, oldest first.
    """

    def __init__(self) -> None:
        self.entries: dict[str, list[Delivery]] = {}
        self.dead: list[DeadLetter] = []
        self.changed = asyncio.Event()
        self._groups: dict[tuple[str, str], _Group] = {}
        self._clock = 0

    def add(self, channel: str, data: bytes | None) -> str:
        """Add an entry and return its id; None makes one without the field `data`."""
        self._clock += 1
        entry = Delivery(str(channel), f"{self._clock}-0", data)
        self.entries.setdefault(entry.channel, []).append(entry)
        self.changed.set()
        return entry.entry_id

    def group(self, channel: str, name: str) -> _Group:
        """Return a group of a channel, made at its beginning if need be."""
        return self._groups.setdefault((channel, name), _Group())

    def destroy_group(self, channel: str, name: str) -> None:
        """Forget how far a group has read."""
        self._groups.pop((channel, name), None)
        self.changed.set()


class MemoryStreamReader:
    """A `StreamReader` of `MemoryStreams`."""

    def __init__(
        self, streams: MemoryStreams, channels: Iterable[str], *, group: str, consumer: str = "consumer"
    ) -> None:
        self._streams = streams
        self._channels = [str(channel) for channel in channels]
        self._group = group
        self._consumer = consumer

    async def read(self) -> Sequence[Delivery]:
        """Return own pending entries while there are any, else new ones; see `port.StreamReader.read`."""
        if ready := self._pending() or self._new():
            return ready
        self._streams.changed.clear()
        try:
            async with asyncio.timeout(BLOCK):
                await self._streams.changed.wait()
        except TimeoutError:
            return []
        return self._new()

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Drop them from the pending list; see `port.StreamReader.acknowledge`."""
        for delivery in deliveries:
            self._streams.group(delivery.channel, self._group).pending.pop(delivery.entry_id, None)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _pending(self) -> list[Delivery]:
        return [
            entry
            for channel in self._channels
            for entry in self._streams.entries.get(channel, ())
            if self._streams.group(channel, self._group).pending.get(entry.entry_id) == self._consumer
        ]

    def _new(self) -> list[Delivery]:
        news: list[Delivery] = []
        for channel in self._channels:
            group = self._streams.group(channel, self._group)
            unread = self._streams.entries.get(channel, [])[group.read :]
            group.read += len(unread)
            group.pending |= {entry.entry_id: self._consumer for entry in unread}
            news += unread
        return news


class MemoryDeadLetters:
    """`DeadLetters` of `MemoryStreams`."""

    def __init__(self, streams: MemoryStreams, *, group: str) -> None:
        self._streams = streams
        self._group = group

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Store and acknowledge; see `port.DeadLetters.bury`."""
        for letter in letters:
            pending = self._streams.group(letter.delivery.channel, self._group).pending
            if pending.pop(letter.delivery.entry_id, None) is not None:
                self._streams.dead.append(letter)

    async def close(self) -> None:
        """Do nothing: there are no connections."""
