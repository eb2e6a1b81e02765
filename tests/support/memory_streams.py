"""Streams in memory, as the contracts of the stream stage ask for them."""

from datetime import timedelta

from support.consuming import GROUP

from domainstream.stream import MemoryDeadLetterRedrive, MemoryStreamReader, MemoryStreams, ReaderSettings
from domainstream.stream.memory.streams import Pending
from domainstream.stream.port import Fields
from domainstream.testing.stream_contract import FIRST, StreamHarness

SETTINGS = ReaderSettings(lease=timedelta(minutes=1), claim_after=timedelta(minutes=1))


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

    async def delete(self, channel: str, entry_id: str) -> None:
        """Drop an entry."""
        self.streams.delete(channel, entry_id)

    async def read_as(self, consumer: str, channel: str = FIRST) -> None:
        """Deliver what is new to a consumer."""
        group = self.streams.groups[channel, GROUP]
        for entry in self.streams.between(channel, group.last_id):
            group.pending[entry.entry_id] = Pending(consumer, self.now)
            group.last_id = entry.entry_id
            group.read += 1

    async def make_idle(self, channel: str) -> None:
        """Make what is pending an hour old."""
        for pending in self.streams.groups[channel, GROUP].pending.values():
            pending.since -= 3600

    async def pending(self, channel: str = FIRST) -> list[str]:
        """Return what is pending."""
        return list(self.streams.groups[channel, GROUP].pending)

    async def expire(self, channel: str = FIRST) -> None:
        """Let the lease run out."""
        self.streams.leases[channel, GROUP].until = self.now

    async def destroy_group(self, channel: str) -> None:
        """Let the group vanish."""
        self.streams.destroy_group(channel, GROUP)

    async def set_back(self, channel: str) -> None:
        """Let the group begin again."""
        self.streams.groups[channel, GROUP].last_id = "0-0"

    def reader(self, instance: str = "one") -> MemoryStreamReader:
        """Open a reader."""
        return MemoryStreamReader(self.streams, group=GROUP, instance=instance, settings=SETTINGS)

    def redrive(self) -> MemoryDeadLetterRedrive:
        """Open the redrive of the dead letters."""
        return MemoryDeadLetterRedrive(self.streams)

    async def close(self) -> None:
        """Nothing is open."""
