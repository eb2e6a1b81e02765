"""The contract suite of `OutboxStore`. Ours pass it; run it on your own.

Subclass `OutboxStoreContract` in a test file and give it a fixture::

    class TestMyOutboxStore(OutboxStoreContract):
        @pytest_asyncio.fixture
        async def harness(self):
            harness = MyHarness()  # an OutboxHarness, whose stores have its SETTINGS
            yield harness
            await harness.close()

Needs the extra `testing`. The tests are coroutines marked for pytest-asyncio, so they run in its strict and its auto
mode.
"""

import pytest

from domainstream.outbox import Claim, LeaseLostError, SettledBatch
from domainstream.publisher import BatchIdentity
from domainstream.testing.held_channel_contract import HeldChannelContract
from domainstream.testing.outbox_harness import LEASE, SETTINGS, OutboxHarness, Relay, active_relay, event_ids, outgoing


@pytest.mark.asyncio
class OutboxStoreContract(HeldChannelContract):
    """The behaviour of `OutboxStore`; subclasses provide the fixture `harness`."""

    async def test_free_outbox_is_taken_over(self, harness: OutboxHarness) -> None:
        """The first relay gets the lease, and nothing is left from one before."""
        relay = await active_relay(harness)
        assert relay.lease.epoch >= 1
        assert relay.lease.unsettled is None

    async def test_second_relay_stands_by(self, harness: OutboxHarness) -> None:
        """While one relay has the lease, others do not get it, and its own stays valid."""
        active = await active_relay(harness)
        assert not await Relay(harness.store()).take_over()
        assert (await active.next_batch()).batch is None

    async def test_owner_takes_its_own_lease_again(self, harness: OutboxHarness) -> None:
        """A relay that lost its connection takes its own lease at once, with a higher epoch."""
        relay = await active_relay(harness)
        before = relay.lease.epoch
        assert await relay.take_over()
        assert relay.lease.epoch > before

    async def test_expired_lease_is_taken_over(self, harness: OutboxHarness) -> None:
        """Once the lease has run out on the store's clock, another relay takes it with a higher epoch."""
        first, second = await active_relay(harness), Relay(harness.store())
        await harness.pass_time(LEASE + 1)
        assert await second.take_over()
        assert second.lease.epoch > first.lease.epoch

    async def test_expired_lease_that_stayed_free_is_renewed(self, harness: OutboxHarness) -> None:
        """A relay that was slow goes on, if another one did not take over meanwhile."""
        relay = await active_relay(harness)
        await harness.add([message := outgoing("orders")])
        await harness.pass_time(LEASE + 1)
        assert event_ids(await relay.claim()) == [message.event_id]
        assert not await Relay(harness.store()).take_over()

    async def test_claim_renews_the_lease(self, harness: OutboxHarness) -> None:
        """A relay that claims keeps its lease for longer than one term."""
        relay = await active_relay(harness)
        await harness.add([outgoing("orders") for _ in range(12)])
        settled = None
        for _ in range(3):
            await harness.pass_time(LEASE * 0.6)
            settled = SettledBatch(await relay.claim(settled))
        assert not await Relay(harness.store()).take_over()

    async def test_older_epoch_changes_nothing(self, harness: OutboxHarness) -> None:
        """A relay that another one has replaced can neither claim nor delete nor release."""
        zombie, successor = await active_relay(harness), Relay(harness.store())
        await harness.add([outgoing("orders") for _ in range(7)])
        stored = await harness.stored()
        settled = SettledBatch(await zombie.claim())
        await harness.pass_time(LEASE + 1)
        assert await successor.take_over()
        with pytest.raises(LeaseLostError):
            await zombie.next_batch(settled)
        with pytest.raises(LeaseLostError):
            await zombie.store.release(zombie.lease, settled)
        assert await harness.stored() == stored
        assert not await Relay(harness.store()).take_over()
        assert successor.lease.unsettled == settled.batch

    async def test_older_epoch_of_the_same_owner_changes_nothing(self, harness: OutboxHarness) -> None:
        """A call that was given up, and arrives after its relay has taken over anew, is rejected."""
        relay = await active_relay(harness)
        late = relay.lease
        await relay.take_over()
        with pytest.raises(LeaseLostError):
            await relay.store.next_batch(late, None, BatchIdentity("late", 1))

    async def test_released_lease_is_free_at_once(self, harness: OutboxHarness) -> None:
        """A relay that ends gives its lease back, and its epoch is worth nothing after that."""
        first, second = await active_relay(harness), Relay(harness.store())
        await first.store.release(first.lease, None)
        assert await second.take_over()
        with pytest.raises(LeaseLostError):
            await first.next_batch()

    async def test_release_deletes_what_was_published(self, harness: OutboxHarness) -> None:
        """The last batch of a relay is settled with its lease, and the next relay repeats nothing."""
        first, second = await active_relay(harness), Relay(harness.store())
        await harness.add([outgoing("orders") for _ in range(3)])
        await first.store.release(first.lease, SettledBatch(await first.claim()))
        assert await harness.stored() == []
        await second.take_over()
        assert second.lease.unsettled is None

    async def test_release_keeps_the_note_of_an_unsettled_batch(self, harness: OutboxHarness) -> None:
        """A relay that is stopped before it has published leaves the batch to its successor."""
        first, second = await active_relay(harness), Relay(harness.store())
        await harness.add([outgoing("orders")])
        batch = await first.claim()
        await first.store.release(first.lease, None)
        await second.take_over()
        assert second.lease.unsettled == batch

    async def test_empty_outbox_has_no_batch(self, harness: OutboxHarness) -> None:
        """Nothing is claimed where nothing is stored, again and again."""
        relay = await active_relay(harness)
        for _ in range(3):
            assert await relay.next_batch() == Claim(None)

    async def test_batch_has_the_rows_in_order_under_the_identity(self, harness: OutboxHarness) -> None:
        """A batch has the messages as they were stored, in the order of their numbers, under the identity given."""
        relay = await active_relay(harness)
        messages = [outgoing(channel) for channel in ("orders", "invoices", "orders")]
        await harness.add(messages[:2])
        await harness.add(messages[2:])
        claim = await relay.store.next_batch(relay.lease, None, BatchIdentity("abc", 7))
        assert claim.batch is not None
        assert claim.batch.identity == BatchIdentity("abc", 7)
        assert [row.message for row in claim.batch.rows] == messages
        ids = [row.row_id for row in claim.batch.rows]
        assert ids == sorted(set(ids))

    async def test_batches_keep_to_the_number_of_messages(self, harness: OutboxHarness) -> None:
        """Rows come in batches of at most `batch_messages`, each row once, in order."""
        relay = await active_relay(harness)
        await harness.add([outgoing("orders") for _ in range(23)])
        stored = await harness.stored()
        batches = await relay.publish_all()
        assert [event_id for batch in batches for event_id in batch] == stored
        assert max(map(len, batches)) == SETTINGS.batch_messages
        assert await harness.stored() == []

    async def test_batches_keep_to_the_bytes(self, harness: OutboxHarness) -> None:
        """A batch ends before the row that would exceed `batch_bytes`."""
        relay = await active_relay(harness)
        await harness.add([outgoing("orders", size=400) for _ in range(7)])
        stored = await harness.stored()
        batches = await relay.publish_all()
        assert [len(batch) for batch in batches] == [2, 2, 2, 1]
        assert [event_id for batch in batches for event_id in batch] == stored

    async def test_large_row_goes_alone(self, harness: OutboxHarness) -> None:
        """A row that is larger than `batch_bytes` is a batch of its own, in its place."""
        relay = await active_relay(harness)
        messages = [outgoing("orders"), outgoing("orders", size=5_000), outgoing("orders")]
        await harness.add(messages)
        assert await relay.publish_all() == [[message.event_id] for message in messages]

    async def test_settled_rows_are_gone(self, harness: OutboxHarness) -> None:
        """Claiming deletes the rows of the batch that was published, and those alone."""
        relay = await active_relay(harness)
        await harness.add([outgoing("orders") for _ in range(7)])
        stored = await harness.stored()
        settled = SettledBatch(await relay.claim())
        assert await harness.stored() == stored
        assert event_ids(await relay.claim(settled)) == stored[5:]
        assert await harness.stored() == stored[5:]

    async def test_rows_that_are_added_later_are_claimed(self, harness: OutboxHarness) -> None:
        """An outbox that was empty is read on, after takeovers as well."""
        relay = await active_relay(harness)
        for _ in range(3):
            await harness.add([message := outgoing("orders")])
            assert await relay.publish_all() == [[message.event_id]]
            assert await relay.publish_all() == []
            await relay.take_over()

    async def test_noted_batch_is_returned_at_the_takeover(self, harness: OutboxHarness) -> None:
        """A successor gets what was noted: the same rows under the same identity, whatever was stored meanwhile."""
        first, second = await active_relay(harness), Relay(harness.store())
        await harness.add([outgoing("orders") for _ in range(2)])
        batch = await first.claim()
        await harness.add([later := outgoing("orders")])
        await harness.pass_time(LEASE + 1)
        await second.take_over()
        assert second.lease.unsettled == batch
        assert event_ids(await second.claim(SettledBatch(batch))) == [later.event_id]

    async def test_note_outlives_several_takeovers(self, harness: OutboxHarness) -> None:
        """The noted batch is returned until somebody settles it."""
        relay = await active_relay(harness)
        await harness.add([outgoing("orders")])
        batch = await relay.claim()
        for _ in range(3):
            await relay.take_over()
            assert relay.lease.unsettled == batch

    async def test_settled_batch_is_not_returned_at_the_takeover(self, harness: OutboxHarness) -> None:
        """After a batch was settled, the next relay has nothing to repeat."""
        relay = await active_relay(harness)
        await harness.add([outgoing("orders")])
        await relay.publish_all()
        await relay.take_over()
        assert relay.lease.unsettled is None
