"""The streams in memory keep the contract of the ports."""

import pytest
from support.stream_contract import FIRST, SECOND, StreamContract, StreamPlace

from domainstream.stream import DeadLetters, MemoryDeadLetters, MemoryStreamReader, MemoryStreams, StreamReader

GROUP = "group"


class MemoryPlace(StreamPlace):
    """Streams in memory."""

    def __init__(self) -> None:
        self.streams = MemoryStreams()

    async def add(self, channel: str, data: bytes | None) -> str:
        """Put an entry into a stream."""
        return self.streams.add(channel, data)

    def reader(self, consumer: str = "one") -> StreamReader:
        """Open a reader."""
        return MemoryStreamReader(self.streams, [FIRST, SECOND], group=GROUP, consumer=consumer)

    def dead_letters(self) -> DeadLetters:
        """Open the dead letters."""
        return MemoryDeadLetters(self.streams, group=GROUP)

    async def buried(self, channel: str) -> list[tuple[str, str, str, bytes | None]]:
        """Return the dead letters of a channel."""
        letters = [letter for letter in self.streams.dead if letter.delivery.channel == channel]
        return [(letter.delivery.entry_id, letter.error, letter.reason, letter.delivery.data) for letter in letters]

    async def destroy_group(self, channel: str) -> None:
        """Let the group vanish."""
        self.streams.destroy_group(channel, GROUP)

    async def close(self) -> None:
        """Nothing is open."""


class TestMemoryStream(StreamContract):
    """The contract, in memory."""

    @pytest.fixture
    async def place(self) -> StreamPlace:
        """Streams in memory."""
        return MemoryPlace()
