"""The streams in memory keep the contracts of the ports."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from domainstream.errors import ServerUnavailableError
from domainstream.stream import (
    DeadLetterRedrive,
    DeadLetters,
    MemoryDeadLetterRedrive,
    MemoryDeadLetters,
    MemoryStreamReader,
    MemoryStreams,
    OnLoss,
    ReaderSettings,
    ReaderStats,
)
from domainstream.stream.port import Fields
from domainstream.testing.dead_letter_contract import DeadLetterContract
from domainstream.testing.stream_contract import FIRST, SECOND, StreamContract, StreamHarness, read_all, read_some

GROUP = "group"


class MemoryHarness(StreamHarness):
    """Streams in memory, whose clock stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.streams = MemoryStreams(clock=lambda: self.now)

    async def add(self, channel: str, data: bytes | None, other: Fields = ()) -> str:
        """Put an entry into a stream."""
        return self.streams.add(channel, data, other)

    async def trim(self, channel: str, *, keep: int) -> None:
        """Drop the oldest entries."""
        self.streams.trim(channel, keep=keep)

    async def abandon(self) -> None:
        """Let an hour pass."""
        self.now += 3600

    async def destroy_group(self, channel: str) -> None:
        """Let the group vanish."""
        self.streams.destroy_group(channel, GROUP)

    def reader(self, consumer: str = "one", *, on_loss: OnLoss | None = None) -> MemoryStreamReader:
        """Open a reader."""
        settings = ReaderSettings(block=timedelta(seconds=0.05))
        return MemoryStreamReader(
            self.streams, [FIRST, SECOND], group=GROUP, consumer=consumer, settings=settings, on_loss=on_loss
        )

    def dead_letters(self) -> DeadLetters:
        """Open the dead letters."""
        return MemoryDeadLetters(self.streams, group=GROUP)

    def redrive(self) -> DeadLetterRedrive:
        """Open their redrive."""
        return MemoryDeadLetterRedrive(self.streams)

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
async def harness() -> AsyncIterator[MemoryHarness]:
    """Streams in memory."""
    harness = MemoryHarness()
    yield harness
    await harness.close()


class TestMemoryStream(StreamContract):
    """The contract of readers, in memory."""


class TestMemoryDeadLetters(DeadLetterContract):
    """The contract of dead letters, in memory."""


async def test_counts_say_what_was_met(harness: MemoryHarness) -> None:
    """Entries read, taken over and lost are counted, as are groups that were made again."""
    reader = harness.reader()
    await harness.add(FIRST, b"left alone")
    await read_some(harness.reader("other"))
    await harness.abandon()
    await read_all(reader, 1)
    await harness.add(FIRST, b"lost")
    await harness.trim(FIRST, keep=0)
    await reader.read()
    await harness.destroy_group(SECOND)
    await reader.read()
    assert reader.stats == ReaderStats(read=1, reclaimed=1, lost=1, recreated=1)


async def test_reads_are_bounded(harness: MemoryHarness) -> None:
    """A read returns as many entries as the settings allow, and the next one goes on."""
    for number in range(5):
        await harness.add(FIRST, b"%d" % number)
    settings = ReaderSettings(max_entries=3)
    first, second = [MemoryStreamReader(harness.streams, [FIRST], group=GROUP, settings=settings) for _ in range(2)]
    assert [len(await first.read()) for _ in range(2)] == [3, 2]
    assert [len(await second.read()) for _ in range(2)] == [3, 2]


async def test_closed_reader_reads_no_more(harness: MemoryHarness) -> None:
    """A read after `close` says so."""
    reader = harness.reader()
    await reader.close()
    with pytest.raises(ServerUnavailableError, match="the reader is closed"):
        await reader.read()
