"""The contract suite of `StreamReader`. Ours pass it; run it on your own.

Subclass `StreamContract` in a test file and give it a fixture::

    class TestMyStreams(StreamContract):
        @pytest_asyncio.fixture
        async def harness(self):
            harness = MyHarness()
            yield harness
            await harness.close()

Needs the extra `testing`. The tests are coroutines marked for pytest-asyncio, so they run in its strict and its auto
mode. The contract of dead letters is in `dead_letter_contract`.
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
    LeaseHeldError,
    LeaseLostError,
    Loss,
    StreamReader,
    Turn,
)
from domainstream.stream.port import Fields, Read

FIRST: Final = "first_channel"
SECOND: Final = "second_channel"
OTHER_READS: Final[Sequence[Read]] = ("pending", "retry", "claim", "renew", "release")


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
    await owner.reader.close()
    return deliveries


def texts(deliveries: Sequence[Delivery]) -> list[bytes | None]:
    """Return the data of deliveries."""
    return [delivery.data for delivery in deliveries]


def counts(turn: Turn) -> list[tuple[bytes | None, int]]:
    """Return data and number of deliveries of what a turn read."""
    return [(delivery.data, delivery.deliveries) for delivery in turn.deliveries]


@pytest.mark.asyncio
class StreamContract:
    """The behaviour of `StreamReader`; subclasses provide the fixture `harness`."""

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

    async def test_lease_is_held_against_other_instances(self, harness: StreamHarness) -> None:
        """Another instance is told who has it and for how long; other channels are free."""
        await Owner.of(harness.reader("one"))
        other = harness.reader("two")
        with pytest.raises(LeaseHeldError) as raised:
            await other.take(FIRST)
        assert raised.value.owner == "one"
        assert raised.value.seconds > 0
        await other.take(SECOND)

    async def test_each_take_begins_a_later_epoch(self, harness: StreamHarness) -> None:
        """A lease says who had it before, and how far the group had read; what the instance itself had is over."""
        first = await Owner.of(harness.reader("one"))
        entry_id = await harness.add(FIRST, b"data")
        await first.turn()
        again = await Owner.of(first.reader)
        assert again.lease.epoch > first.lease.epoch
        assert (again.lease.owner_before, again.lease.epoch_before) == ("one", first.lease.epoch)
        assert (first.lease.last_delivered, again.lease.last_delivered) == ("0-0", entry_id)
        assert (first.lease.token_before, again.lease.token) == ("", first.lease.token)
        with pytest.raises(LeaseLostError):
            await first.turn()

    async def test_epoch_is_at_least_what_was_asked_for(self, harness: StreamHarness) -> None:
        """An instance that a queue knows to be late gets ahead of that."""
        assert (await harness.reader().take(FIRST, least_epoch=2**52)).epoch == 2**52

    async def test_lease_that_was_given_up_is_free(self, harness: StreamHarness) -> None:
        """The next owner need not wait, and knows that nobody was interrupted."""
        first = await Owner.of(harness.reader("one"))
        await first.turn("release")
        assert (await harness.reader("two").take(FIRST)).owner_before == ""
        with pytest.raises(LeaseLostError):
            await first.turn()

    @pytest.mark.parametrize("read", ["new", *OTHER_READS])
    async def test_late_owner_can_do_nothing(self, harness: StreamHarness, read: Read) -> None:
        """Once another took the lease that ran out, its former owner neither reads nor acknowledges."""
        await harness.add(FIRST, b"data")
        late = await Owner.of(harness.reader("one"))
        deliveries = (await late.turn()).deliveries
        await harness.expire()
        owner = await Owner.of(harness.reader("two"))
        assert owner.lease.owner_before == "one"
        with pytest.raises(LeaseLostError):
            await late.turn(read, deliveries)
        with pytest.raises(LeaseLostError):
            await late.store_dead(deliveries[0])
        assert counts(await owner.turn("pending")) == [(b"data", 1)]

    async def test_lease_that_ran_out_can_be_renewed(self, harness: StreamHarness) -> None:
        """While nobody else took it, a turn keeps it."""
        owner = await Owner.of(harness.reader("one"))
        await harness.expire()
        assert not (await owner.turn("renew")).deliveries
        with pytest.raises(LeaseHeldError):
            await harness.reader("two").take(FIRST)

    async def test_what_is_pending_can_be_looked_at(self, harness: StreamHarness) -> None:
        """The same owner sees it in pages, and it is not counted as delivered."""
        for number in range(5):
            await harness.add(FIRST, b"%d" % number)
        owner = await Owner.of(harness.reader())
        await owner.turn()
        for _ in range(2):
            first = await owner.turn("pending", count=3)
            rest = await owner.turn("pending", after=first.deliveries[-1].entry_id, count=3)
            assert counts(first) + counts(rest) == [(b"%d" % number, 1) for number in range(5)]

    async def test_what_is_pending_can_be_delivered_again(self, harness: StreamHarness) -> None:
        """The next owner begins with it, in order, and that is counted; then comes what is new."""
        for number in range(3):
            await harness.add(FIRST, b"%d" % number)
        await (await Owner.of(harness.reader("one"))).turn(count=2)
        await harness.expire()
        owner = await Owner.of(harness.reader("two"))
        assert counts(await owner.turn("retry")) == [(b"0", 2), (b"1", 2)]
        assert counts(await owner.turn()) == [(b"2", 1)]

    async def test_entry_that_was_delivered_often_comes_alone(self, harness: StreamHarness) -> None:
        """It may be what kills its owners: its neighbours do not share its fate."""
        for number in range(2):
            await harness.add(FIRST, b"%d" % number)
        owner = await Owner.of(harness.reader())
        await owner.turn()
        assert [counts(await owner.turn("retry")) for _ in range(3)] == [
            [(b"0", 2), (b"1", 2)],
            [(b"0", 3), (b"1", 3)],
            [(b"0", 4)],
        ]

    async def test_what_is_acknowledged_is_not_pending(self, harness: StreamHarness) -> None:
        """A turn acknowledges before it reads; acknowledging twice changes nothing."""
        ids = [await harness.add(FIRST, b"%d" % number) for number in range(3)]
        owner = await Owner.of(harness.reader())
        deliveries = (await owner.turn(count=2)).deliveries
        for _ in range(2):
            assert counts(await owner.turn("pending", deliveries[:1])) == [(b"1", 1)]
        assert counts(await owner.turn("new", deliveries[1:])) == [(b"2", 1)]
        assert await harness.pending() == ids[2:]

    async def test_what_other_consumers_left_is_claimed(self, harness: StreamHarness) -> None:
        """It is delivered again once it was idle for long, not before, and the owner's own is left alone."""
        owner = await Owner.of(harness.reader("one"))
        await harness.add(FIRST, b"own")
        await owner.turn()
        await harness.add(FIRST, b"other")
        await harness.read_as("another")
        assert counts(await owner.turn("claim")) == []
        await harness.make_idle(FIRST)
        assert counts(await owner.turn("claim")) == [(b"other", 2)]
        assert counts(await owner.turn("retry")) == [(b"own", 2)]

    async def test_what_was_claimed_stays_apart(self, harness: StreamHarness) -> None:
        """The next owner gets it by claiming, at once, since queues may be past its id without having it."""
        await harness.add(FIRST, b"other")
        first = await Owner.of(harness.reader("one"))
        await harness.read_as("another")
        await harness.make_idle(FIRST)
        await first.turn("claim")
        await harness.expire()
        owner = await Owner.of(harness.reader("two"))
        assert counts(await owner.turn("retry")) == []
        assert counts(await owner.turn("claim")) == [(b"other", 3)]
        assert counts(await owner.turn("claim", (await owner.turn("claim")).deliveries)) == []

    @pytest.mark.parametrize("read", ["pending", "retry", "claim"])
    async def test_pending_entry_that_was_deleted_is_reported_once(self, harness: StreamHarness, read: Read) -> None:
        """Its id is returned beside what is left, and it is not pending any more."""
        owner = await Owner.of(harness.reader())
        gone, left = [await harness.add(FIRST, data) for data in (b"gone", b"left")]
        await (harness.read_as("another") if read == "claim" else owner.turn())
        await harness.make_idle(FIRST)
        await harness.delete(FIRST, gone)
        turn = await owner.turn(read)
        assert (texts(turn.deliveries), list(turn.deleted)) == ([b"left"], [gone])
        assert not (await owner.turn(read)).deleted
        assert await harness.pending() == [left]

    async def test_group_that_vanished_is_made_again_at_the_beginning(self, harness: StreamHarness) -> None:
        """The epoch is over; the next one delivers all once more, under another token, rather than nothing."""
        await harness.add(FIRST, b"old")
        owner = await Owner.of(harness.reader())
        await owner.turn("renew", (await owner.turn()).deliveries)
        await harness.destroy_group(FIRST)
        await harness.add(FIRST, b"new")
        with pytest.raises(LeaseLostError):
            await owner.turn()
        again = await Owner.of(owner.reader)
        assert texts((await again.turn()).deliveries) == [b"old", b"new"]
        assert again.lease.token != again.lease.token_before == owner.lease.token

    async def test_lease_of_a_group_that_vanished_can_be_given_up(self, harness: StreamHarness) -> None:
        """Then the next owner makes the group."""
        owner = await Owner.of(harness.reader("one"))
        await harness.destroy_group(FIRST)
        await owner.turn("release")
        await harness.reader("two").take(FIRST)

    async def test_group_that_was_set_back_ends_the_epoch(self, harness: StreamHarness) -> None:
        """What comes again is read under another token, so that no queue takes it for done."""
        await harness.add(FIRST, b"old")
        owner = await Owner.of(harness.reader())
        await owner.turn("renew", (await owner.turn()).deliveries)
        await harness.set_back(FIRST)
        with pytest.raises(LeaseLostError):
            await owner.turn()
        again = await Owner.of(owner.reader)
        assert again.lease.token != owner.lease.token
        assert texts((await again.turn()).deliveries) == [b"old"]

    async def test_what_a_late_owner_has_read_is_not_passed(self, harness: StreamHarness) -> None:
        """Entries that another delivered to the owners' consumer end the epoch; the next one finds them pending."""
        owner = await Owner.of(harness.reader())
        await harness.add(FIRST, b"missed")
        await harness.read_as("domainstream")
        await harness.add(FIRST, b"new")
        with pytest.raises(LeaseLostError):
            await owner.turn()
        again = await Owner.of(owner.reader)
        found = [*(await again.turn("pending")).deliveries, *(await again.turn()).deliveries]
        assert b"missed" in texts(found)

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

    async def test_entries_between_two_ids_are_returned_whatever_became_of_them(self, harness: StreamHarness) -> None:
        """Acknowledged, pending and unread ones, without those that were deleted, after one id and up to another."""
        ids = [await harness.add(FIRST, b"%d" % number) for number in range(6)]
        owner = await Owner.of(harness.reader())
        await owner.turn("renew", (await owner.turn(count=3)).deliveries[:2])
        await harness.delete(FIRST, ids[3])
        between = owner.reader.between
        assert texts(await between(FIRST, ids[0], ids[4], count=100)) == [b"1", b"2", b"4"]
        assert texts(await between(FIRST, "0-0", ids[5], count=2)) == [b"0", b"1"]
        assert not await between(FIRST, ids[5], ids[5], count=100)
        assert await harness.pending() == [ids[2]]

    async def test_closing_twice_does_nothing(self, harness: StreamHarness) -> None:
        """A second `close` does nothing."""
        reader = harness.reader()
        for _ in range(2):
            await reader.close()
