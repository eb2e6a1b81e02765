"""The contract suite of `StreamReader`. Ours pass it; run it on your own.

Subclass `StreamContract` in a test file and give it a fixture::

    class TestMyStreams(StreamContract):
        @pytest_asyncio.fixture
        async def harness(self):
            harness = MyHarness()
            yield harness
            await harness.close()

Needs the extra `testing`. The tests are coroutines marked for pytest-asyncio, so they run in its strict and its auto
mode. What leases are for is in `stream_lease_contract`, dead letters are in `dead_letter_contract`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Self

import pytest

from domainstream.stream import (
    DeadLetter,
    DeadLetterRedrive,
    Delivery,
    Lease,
    Loss,
    StreamReader,
    Turn,
)
from domainstream.stream.port import Fields, Read

FIRST: Final = "first_channel"
SECOND: Final = "second_channel"
OTHER_READS: Final[Sequence[Read]] = ("pending", "retry", "claim", "look", "renew", "release")


class StreamHarness(ABC):
    """Streams, and readers of one group on the channels `FIRST` and `SECOND`; leases and `claim_after` are minutes."""

    @abstractmethod
    async def add(self, channel: str, data: bytes | None, other: Fields = ()) -> str:
        """Add an entry to a stream and return its id; None leaves out the field `data`, `other` are other fields."""

    @abstractmethod
    async def trim(self, channel: str, *, keep: int) -> None:
        """Remove the oldest entries until `keep` are left."""

    @abstractmethod
    async def delete(self, channel: str, entry_id: str) -> None:
        """Remove an entry."""

    @abstractmethod
    async def read_as(self, consumer: str, channel: str = FIRST) -> None:
        """Deliver everything that is new in a channel to a consumer of the group, without a lease."""

    @abstractmethod
    async def make_idle(self, channel: str) -> None:
        """Make everything that is pending in a channel look as if it had been so for an hour."""

    @abstractmethod
    async def pending(self, channel: str = FIRST) -> list[str]:
        """Return the ids of the entries of a channel that are pending."""

    @abstractmethod
    async def expire(self, channel: str = FIRST) -> None:
        """Let the lease of a channel run out."""

    @abstractmethod
    async def destroy_group(self, channel: str) -> None:
        """Remove the group from a channel."""

    @abstractmethod
    async def set_back(self, channel: str) -> None:
        """Let the group read a channel from its beginning again."""

    @abstractmethod
    def reader(self, instance: str = "one") -> StreamReader:
        """Open a reader."""

    @abstractmethod
    def redrive(self) -> DeadLetterRedrive:
        """Open the redrive of the dead letters."""

    @abstractmethod
    async def close(self) -> None:
        """Close everything that was opened."""


class Owner:
    """A reader that has the lease of a channel, and remembers how far it has read."""

    def __init__(self, reader: StreamReader, lease: Lease, channel: str) -> None:
        self.reader, self.lease, self.channel = reader, lease, channel
        self.read_to = lease.last_delivered

    @classmethod
    async def of(cls, reader: StreamReader, channel: str = FIRST) -> Self:
        """Take the lease."""
        return cls(reader, await reader.take(channel), channel)

    async def turn(
        self, read: Read = "new", acknowledge: Sequence[Delivery] = (), *, after: str = "", count: int = 1000
    ) -> Turn:
        """Take a turn; a new entry is read after the last one."""
        start = after or (self.read_to if read == "new" else "0-0")
        ids = [delivery.entry_id for delivery in acknowledge]
        turn = await self.reader.turn(self.channel, self.lease, read, ids, after=start, count=count)
        if read == "new" and turn.deliveries:
            self.read_to = turn.deliveries[-1].entry_id
        return turn

    async def store_dead(self, delivery: Delivery) -> DeadLetter:
        """Store a delivery as a dead letter."""
        letter = DeadLetter(delivery, "HostileJsonError", "not JSON")
        await self.reader.store_dead(self.channel, self.lease, {delivery.entry_id: letter})
        return letter


async def read_all(harness: StreamHarness, channel: str = FIRST) -> list[Delivery]:
    """Read what is new in a channel, and acknowledge it."""
    owner = await Owner.of(harness.reader(), channel)
    deliveries = list((await owner.turn()).deliveries)
    await owner.turn("release", deliveries)
    return deliveries


def texts(deliveries: Sequence[Delivery]) -> list[bytes | None]:
    """Return the data of deliveries."""
    return [delivery.data for delivery in deliveries]


def counts(turn: Turn) -> list[tuple[bytes | None, int]]:
    """Return data and number of deliveries of what a turn read."""
    return [(delivery.data, delivery.deliveries) for delivery in turn.deliveries]


@pytest.mark.asyncio
class StreamContract:
    """How a `StreamReader` reads; subclasses provide the fixture `harness`."""

    async def test_entries_are_delivered_once_in_the_order_of_their_channel(self, harness: StreamHarness) -> None:
        """Entries from before the group existed are delivered too; each channel has its own."""
        added = [await harness.add(FIRST, b"%d" % number) for number in range(50)]
        await harness.add(SECOND, b"other")
        owner = await Owner.of(harness.reader())
        pages = [(await owner.turn(count=20)).deliveries for _ in range(4)]
        assert [len(page) for page in pages] == [20, 20, 10, 0]
        assert [delivery.entry_id for page in pages for delivery in page] == added
        assert {(delivery.channel, delivery.deliveries) for page in pages for delivery in page} == {(FIRST, 1)}
        assert texts(await read_all(harness, SECOND)) == [b"other"]

    @pytest.mark.parametrize("data", [b"", b"\x00\xff not JSON", b"x" * 300_000])
    async def test_undecodable_data_is_delivered_as_it_is(self, harness: StreamHarness, data: bytes) -> None:
        """A reader delivers data of any kind and size unchanged."""
        await harness.add(FIRST, data)
        assert texts(await read_all(harness)) == [data]

    async def test_entry_without_data_is_delivered_as_none(self, harness: StreamHarness) -> None:
        """An entry that lacks the field `data` is delivered with None, and with its other fields."""
        await harness.add(FIRST, None, ((b"other", b"field"),))
        (delivery,) = await read_all(harness)
        assert (delivery.data, delivery.other) == (None, ((b"other", b"field"),))

    async def test_what_is_acknowledged_is_not_pending(self, harness: StreamHarness) -> None:
        """A turn acknowledges before it reads; acknowledging twice changes nothing."""
        ids = [await harness.add(FIRST, b"%d" % number) for number in range(3)]
        owner = await Owner.of(harness.reader())
        deliveries = (await owner.turn(count=2)).deliveries
        for _ in range(2):
            assert counts(await owner.turn("pending", deliveries[:1])) == [(b"1", 1)]
        assert counts(await owner.turn("new", deliveries[1:])) == [(b"2", 1)]
        assert await harness.pending() == ids[2:]

    async def test_reads_of_other_consumers_do_not_disturb(self, harness: StreamHarness) -> None:
        """The owner goes on with what they leave."""
        owner = await Owner.of(harness.reader())
        await harness.add(FIRST, b"theirs")
        await harness.read_as("another")
        await harness.add(FIRST, b"new")
        assert texts((await owner.turn()).deliveries) == [b"new"]

    async def test_loss_is_reported_once_before_anything_newer(self, harness: StreamHarness) -> None:
        """What was trimmed unread is counted exactly, with the ids around it."""
        ids = [await harness.add(FIRST, b"%d" % number) for number in range(10)]
        owner = await Owner.of(harness.reader())
        done = (await owner.turn()).deliveries
        ids += [await harness.add(FIRST, b"%d" % number) for number in range(10, 20)]
        await harness.trim(FIRST, keep=3)
        turn = await owner.turn("new", done)
        assert turn.loss is not None
        assert (turn.loss.channel, turn.loss.count, turn.loss.before_group) == (FIRST, 7, False)
        assert (turn.loss.after, turn.loss.before) == (ids[9], ids[17])
        assert texts(turn.deliveries) == [b"17", b"18", b"19"]
        assert (await owner.turn()).loss is None

    async def test_what_was_trimmed_before_a_group_existed_is_reported_once(self, harness: StreamHarness) -> None:
        """A group that is created late begins with what the stream holds, and its first read reports what it missed."""
        for number in range(10):
            await harness.add(FIRST, b"%d" % number)
        left = await harness.add(FIRST, b"left")
        await harness.trim(FIRST, keep=1)
        owner = await Owner.of(harness.reader())
        turn = await owner.turn()
        assert turn.loss is not None
        assert (turn.loss.count, turn.loss.before_group) == (10, True)
        assert (turn.loss.after, turn.loss.before) == ("0-0", left)
        assert (await owner.turn("new", turn.deliveries)).loss is None

    async def test_stream_that_was_trimmed_to_nothing_has_lost_all(self, harness: StreamHarness) -> None:
        """The loss is reported although there is nothing left to read, and no entry stands behind it."""
        owner = await Owner.of(harness.reader())
        await harness.add(FIRST, b"read")
        done = (await owner.turn()).deliveries
        for _ in range(5):
            await harness.add(FIRST, b"lost")
        await harness.trim(FIRST, keep=0)
        loss = (await owner.turn("new", done)).loss
        assert loss == Loss(FIRST, loss.group if loss else "", 5, after=done[0].entry_id, before="")

    async def test_what_is_trimmed_after_it_was_read_is_no_loss(self, harness: StreamHarness) -> None:
        """Retention does its work on settled entries, and nothing is reported."""
        owner, done = await Owner.of(harness.reader()), list[Delivery]()
        for keep in (5, 0, 3, 1):
            for _ in range(10):
                await harness.add(FIRST, b"data")
            turn = await owner.turn("new", done)
            done = list(turn.deliveries)
            assert (len(done), turn.loss) == (10, None)
            await harness.trim(FIRST, keep=keep)

    async def test_entries_can_be_looked_at_whatever_became_of_them(self, harness: StreamHarness) -> None:
        """Acknowledged, pending and unread ones, without those that were deleted; nothing is delivered by it."""
        ids = [await harness.add(FIRST, b"%d" % number) for number in range(6)]
        owner = await Owner.of(harness.reader())
        await owner.turn("renew", (await owner.turn(count=3)).deliveries[:2])
        await harness.delete(FIRST, ids[3])
        assert counts(await owner.turn("look", after=ids[0], count=3)) == [(b"1", 1), (b"2", 1), (b"4", 1)]
        assert counts(await owner.turn("look", count=2)) == [(b"0", 1), (b"1", 1)]
        assert not (await owner.turn("look", after=ids[5])).deliveries
        assert await harness.pending() == [ids[2]]
        assert counts(await owner.turn()) == [(b"4", 1), (b"5", 1)]
