"""The contract suite of the leases of a `StreamReader`, and of what one owner leaves to the next.

Use it like `stream_contract`.
"""

import pytest

from domainstream.stream import LeaseHeldError, LeaseLostError
from domainstream.stream.port import Read
from domainstream.testing.stream_contract import FIRST, OTHER_READS, SECOND, Owner, StreamHarness, counts, texts


@pytest.mark.asyncio
class StreamLeaseContract:
    """The leases of a `StreamReader`; subclasses provide the fixture `harness`."""

    async def test_lease_is_held_against_other_instances(self, harness: StreamHarness) -> None:
        """Another instance learns who has it and for how long; other channels are free."""
        await Owner.of(harness.reader("one"))
        other = harness.reader("two")
        with pytest.raises(LeaseHeldError) as raised:
            await other.take(FIRST)
        assert "one" in raised.value.owner
        assert raised.value.seconds > 0
        await other.take(SECOND)

    async def test_each_take_begins_a_later_epoch(self, harness: StreamHarness) -> None:
        """A lease says who had it before, and how far the group had read; what the instance itself had is over."""
        first = await Owner.of(harness.reader("one"))
        entry_id = await harness.add(FIRST, b"data")
        await first.turn()
        again = await Owner.of(first.reader)
        assert again.lease.epoch > first.lease.epoch
        assert (again.lease.is_resumed, again.lease.epoch_before) == (True, first.lease.epoch)
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
        assert not (await harness.reader("two").take(FIRST)).owner_before
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
        assert "one" in owner.lease.owner_before
        assert not owner.lease.is_resumed
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
        """What is read once more is read under another token, so that no queue takes it for done."""
        await harness.add(FIRST, b"old")
        owner = await Owner.of(harness.reader())
        await owner.turn("renew", (await owner.turn()).deliveries)
        await harness.set_back(FIRST)
        with pytest.raises(LeaseLostError):
            await owner.turn()
        again = await Owner.of(owner.reader)
        assert again.lease.token != owner.lease.token
        found = [*(await again.turn("pending")).deliveries, *(await again.turn()).deliveries]
        assert texts(found) == [b"old"]

    async def test_what_is_pending_beyond_a_group_that_was_set_back_is_new(self, harness: StreamHarness) -> None:
        """It is read in the stream's order: added first, it would make queues take those before it for done."""
        for data in (b"one", b"two", b"three"):
            await harness.add(FIRST, data)
        owner = await Owner.of(harness.reader())
        await owner.turn("renew", (await owner.turn()).deliveries[:2])
        await harness.set_back(FIRST)
        again = await Owner.of(owner.reader)
        assert texts((await again.turn("retry")).deliveries) == []
        assert texts((await again.turn(count=2)).deliveries) == [b"one", b"two"]
        assert texts((await again.turn()).deliveries) == [b"three"]

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
