"""The contract suite of `OutboxStore`. Ours pass it; run it on your own.

Subclass `OutboxStoreContract` in a test file and give it a fixture::

    class TestMyOutboxStore(OutboxStoreContract):
        @pytest_asyncio.fixture
        async def harness(self):
            harness = MyHarness(SETTINGS)
            yield harness
            await harness.close()

Needs the extra `testing`. The tests are coroutines marked for pytest-asyncio, so they run in its strict and its auto
mode.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import uuid4

import pytest

from domainstream.outbox import (
    Claim,
    HeldChannel,
    Lease,
    LeaseLostError,
    NotedBatch,
    OutboxStore,
    RelaySettings,
    SettledBatch,
)
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity

SETTINGS: Final = RelaySettings(batch_messages=5, batch_bytes=1_000, lease=timedelta(seconds=60))
"""What the stores under test are made with."""

LEASE: Final = SETTINGS.lease.total_seconds()
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds that a channel is held after it was rejected once, and at most."""


class OutboxHarness(ABC):
    """One outbox, and its store as several relays see it."""

    @abstractmethod
    async def add(self, messages: Sequence[OutgoingMessage]) -> None:
        """Store messages in one transaction, and commit it."""

    @abstractmethod
    def store(self) -> OutboxStore:
        """Open the outbox as a further relay does, with `SETTINGS`."""

    @abstractmethod
    async def stored(self) -> list[str]:
        """Return the event ids of the rows that are left, in the order of the rows' numbers."""

    @abstractmethod
    async def discard(self, event_id: str) -> None:
        """Delete a row, as a user does who gives it up."""

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Make everything that is noted in the store look this much older, on the store's clock."""

    @abstractmethod
    async def close(self) -> None:
        """Close everything that was opened."""


def outgoing(channel: str, *, size: int = 50) -> OutgoingMessage:
    """Make a message that differs from all others, of `size` bytes."""
    return OutgoingMessage(channel, str(uuid4()), b"x" * size)


def event_ids(batch: NotedBatch | None) -> list[str]:
    """Return the event ids of a batch, in its order."""
    return [] if batch is None else [row.message.event_id for row in batch.rows]


class Relay:
    """Works with a store as a relay does, step by step."""

    def __init__(self, store: OutboxStore, owner: str = "") -> None:
        self.store = store
        self.owner = owner or uuid4().hex
        self.lease = Lease(epoch=0, unsettled=None)
        self._producer, self._sequence = uuid4().hex, 0

    async def take_over(self) -> bool:
        """Take the lease; return whether it was to be had."""
        lease = await self.store.take_over(self.owner)
        self.lease = lease or self.lease
        return lease is not None

    async def next_batch(self, settled: SettledBatch | None = None) -> Claim:
        """Claim the next rows under a new identity."""
        self._sequence += 1
        return await self.store.next_batch(self.lease, settled, BatchIdentity(self._producer, self._sequence))

    async def claim(self, settled: SettledBatch | None = None) -> NotedBatch:
        """Claim the next rows, of which there are some."""
        claim = await self.next_batch(settled)
        assert claim.batch is not None
        return claim.batch

    async def publish_all(self, *, rejecting: Sequence[str] = ()) -> list[list[str]]:
        """Claim and settle until nothing is left; return the event ids of each batch."""
        batches: list[list[str]] = []
        settled = None
        while (claim := await self.next_batch(settled)).batch is not None:
            batches.append(event_ids(claim.batch))
            settled = rejected(claim.batch, *rejecting)
        return batches


def rejected(batch: NotedBatch, *channels: str, reason: str = "WRONGTYPE") -> SettledBatch:
    """Return the batch as settled, these channels rejected."""
    present = {row.message.channel for row in batch.rows}
    return SettledBatch(batch, {channel: reason for channel in channels if channel in present})


@pytest.mark.asyncio
class OutboxStoreContract:
    """The behaviour of `OutboxStore`; subclasses provide the fixture `harness`."""

    async def _active(self, harness: OutboxHarness) -> Relay:
        relay = Relay(harness.store())
        assert await relay.take_over()
        return relay

    async def _held(self, relay: Relay, settled: SettledBatch | None = None) -> dict[str, HeldChannel]:
        claim = await relay.next_batch(settled)
        assert claim.batch is None
        return dict(claim.held)

    async def test_free_outbox_is_taken_over(self, harness: OutboxHarness) -> None:
        """The first relay gets the lease, and nothing is left from one before."""
        relay = await self._active(harness)
        assert relay.lease.epoch >= 1
        assert relay.lease.unsettled is None

    async def test_second_relay_stands_by(self, harness: OutboxHarness) -> None:
        """While one relay has the lease, others do not get it, and its own stays valid."""
        active = await self._active(harness)
        assert not await Relay(harness.store()).take_over()
        assert (await active.next_batch()).batch is None

    async def test_owner_takes_its_own_lease_again(self, harness: OutboxHarness) -> None:
        """A relay that lost its connection takes its own lease at once, with a higher epoch."""
        relay = await self._active(harness)
        before = relay.lease.epoch
        assert await relay.take_over()
        assert relay.lease.epoch > before

    async def test_expired_lease_is_taken_over(self, harness: OutboxHarness) -> None:
        """Once the lease has run out on the store's clock, another relay takes it with a higher epoch."""
        first, second = await self._active(harness), Relay(harness.store())
        await harness.pass_time(LEASE + 1)
        assert await second.take_over()
        assert second.lease.epoch > first.lease.epoch

    async def test_expired_lease_that_stayed_free_is_renewed(self, harness: OutboxHarness) -> None:
        """A relay that was slow goes on, if another one did not take over meanwhile."""
        relay = await self._active(harness)
        await harness.add([message := outgoing("orders")])
        await harness.pass_time(LEASE + 1)
        assert event_ids(await relay.claim()) == [message.event_id]
        assert not await Relay(harness.store()).take_over()

    async def test_claim_renews_the_lease(self, harness: OutboxHarness) -> None:
        """A relay that claims keeps its lease for longer than one term."""
        relay = await self._active(harness)
        await harness.add([outgoing("orders") for _ in range(12)])
        settled = None
        for _ in range(3):
            await harness.pass_time(LEASE * 0.6)
            settled = SettledBatch(await relay.claim(settled))
        assert not await Relay(harness.store()).take_over()

    async def test_older_epoch_changes_nothing(self, harness: OutboxHarness) -> None:
        """A relay that another one has replaced can neither claim nor delete nor release."""
        zombie, successor = await self._active(harness), Relay(harness.store())
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
        relay = await self._active(harness)
        late = relay.lease
        await relay.take_over()
        with pytest.raises(LeaseLostError):
            await relay.store.next_batch(late, None, BatchIdentity("late", 1))

    async def test_released_lease_is_free_at_once(self, harness: OutboxHarness) -> None:
        """A relay that ends gives its lease back, and its epoch is worth nothing after that."""
        first, second = await self._active(harness), Relay(harness.store())
        await first.store.release(first.lease, None)
        assert await second.take_over()
        with pytest.raises(LeaseLostError):
            await first.next_batch()

    async def test_release_deletes_what_was_published(self, harness: OutboxHarness) -> None:
        """The last batch of a relay is settled with its lease, and the next relay repeats nothing."""
        first, second = await self._active(harness), Relay(harness.store())
        await harness.add([outgoing("orders") for _ in range(3)])
        await first.store.release(first.lease, SettledBatch(await first.claim()))
        assert await harness.stored() == []
        await second.take_over()
        assert second.lease.unsettled is None

    async def test_release_keeps_the_note_of_an_unsettled_batch(self, harness: OutboxHarness) -> None:
        """A relay that is stopped before it has published leaves the batch to its successor."""
        first, second = await self._active(harness), Relay(harness.store())
        await harness.add([outgoing("orders")])
        batch = await first.claim()
        await first.store.release(first.lease, None)
        await second.take_over()
        assert second.lease.unsettled == batch

    async def test_empty_outbox_has_no_batch(self, harness: OutboxHarness) -> None:
        """Nothing is claimed where nothing is stored, again and again."""
        relay = await self._active(harness)
        for _ in range(3):
            assert await relay.next_batch() == Claim(None)

    async def test_batch_has_the_rows_in_order_under_the_identity(self, harness: OutboxHarness) -> None:
        """A batch has the messages as they were stored, in the order of their numbers, under the identity given."""
        relay = await self._active(harness)
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
        relay = await self._active(harness)
        await harness.add([outgoing("orders") for _ in range(23)])
        stored = await harness.stored()
        batches = await relay.publish_all()
        assert [event_id for batch in batches for event_id in batch] == stored
        assert max(map(len, batches)) == SETTINGS.batch_messages
        assert await harness.stored() == []

    async def test_batches_keep_to_the_bytes(self, harness: OutboxHarness) -> None:
        """A batch ends before the row that would exceed `batch_bytes`."""
        relay = await self._active(harness)
        await harness.add([outgoing("orders", size=400) for _ in range(7)])
        stored = await harness.stored()
        batches = await relay.publish_all()
        assert [len(batch) for batch in batches] == [2, 2, 2, 1]
        assert [event_id for batch in batches for event_id in batch] == stored

    async def test_large_row_goes_alone(self, harness: OutboxHarness) -> None:
        """A row that is larger than `batch_bytes` is a batch of its own, in its place."""
        relay = await self._active(harness)
        messages = [outgoing("orders"), outgoing("orders", size=5_000), outgoing("orders")]
        await harness.add(messages)
        assert await relay.publish_all() == [[message.event_id] for message in messages]

    async def test_settled_rows_are_gone(self, harness: OutboxHarness) -> None:
        """Claiming deletes the rows of the batch that was published, and those alone."""
        relay = await self._active(harness)
        await harness.add([outgoing("orders") for _ in range(7)])
        stored = await harness.stored()
        settled = SettledBatch(await relay.claim())
        assert await harness.stored() == stored
        assert event_ids(await relay.claim(settled)) == stored[5:]
        assert await harness.stored() == stored[5:]

    async def test_rows_that_are_added_later_are_claimed(self, harness: OutboxHarness) -> None:
        """An outbox that was empty is read on, after takeovers as well."""
        relay = await self._active(harness)
        for _ in range(3):
            await harness.add([message := outgoing("orders")])
            assert await relay.publish_all() == [[message.event_id]]
            assert await relay.publish_all() == []
            await relay.take_over()

    async def test_noted_batch_is_returned_at_the_takeover(self, harness: OutboxHarness) -> None:
        """A successor gets what was noted: the same rows under the same identity, whatever was stored meanwhile."""
        first, second = await self._active(harness), Relay(harness.store())
        await harness.add([outgoing("orders") for _ in range(2)])
        batch = await first.claim()
        await harness.add([later := outgoing("orders")])
        await harness.pass_time(LEASE + 1)
        await second.take_over()
        assert second.lease.unsettled == batch
        assert event_ids(await second.claim(SettledBatch(batch))) == [later.event_id]

    async def test_note_outlives_several_takeovers(self, harness: OutboxHarness) -> None:
        """The noted batch is returned until somebody settles it."""
        relay = await self._active(harness)
        await harness.add([outgoing("orders")])
        batch = await relay.claim()
        for _ in range(3):
            await relay.take_over()
            assert relay.lease.unsettled == batch

    async def test_settled_batch_is_not_returned_at_the_takeover(self, harness: OutboxHarness) -> None:
        """After a batch was settled, the next relay has nothing to repeat."""
        relay = await self._active(harness)
        await harness.add([outgoing("orders")])
        await relay.publish_all()
        await relay.take_over()
        assert relay.lease.unsettled is None

    async def test_discarded_rows_of_a_noted_batch_are_left_out(self, harness: OutboxHarness) -> None:
        """Rows that were deleted before the takeover are not repeated; without any row there is no batch."""
        relay = await self._active(harness)
        await harness.add([first := outgoing("orders"), second := outgoing("orders")])
        await relay.claim()
        await harness.discard(first.event_id)
        await relay.take_over()
        assert event_ids(relay.lease.unsettled) == [second.event_id]
        await harness.discard(second.event_id)
        await relay.take_over()
        assert relay.lease.unsettled is None

    async def test_discarded_row_of_a_settled_batch_does_not_matter(self, harness: OutboxHarness) -> None:
        """A row that was deleted while it was published is no obstacle to settling its batch."""
        relay = await self._active(harness)
        await harness.add([message := outgoing("orders"), outgoing("orders")])
        settled = SettledBatch(await relay.claim())
        await harness.discard(message.event_id)
        assert (await relay.next_batch(settled)).batch is None
        assert await harness.stored() == []

    async def test_rejected_channel_is_held(self, harness: OutboxHarness) -> None:
        """Its rows stay, it is held with the reason, and the batch's other channels are settled."""
        relay = await self._active(harness)
        await harness.add([broken := outgoing("broken"), outgoing("orders")])
        batch = await relay.claim()
        held = await self._held(relay, rejected(batch, "broken", reason="WRONGTYPE not a stream"))
        assert await harness.stored() == [broken.event_id]
        assert (held["broken"].reason, held["broken"].attempts) == ("WRONGTYPE not a stream", 1)
        assert held["broken"].identity == batch.identity
        assert held["broken"].row_ids == [batch.rows[0].row_id]

    async def test_held_channel_is_left_out(self, harness: OutboxHarness) -> None:
        """The rows of other channels go on while one is held, in order, past any number of its rows."""
        relay = await self._active(harness)
        await harness.add([outgoing("broken")])
        await self._held(relay, rejected(await relay.claim(), "broken"))
        messages = [outgoing(channel) for _ in range(8) for channel in ("broken", "orders")]
        await harness.add(messages)
        published = [event_id for batch in await relay.publish_all() for event_id in batch]
        assert published == [message.event_id for message in messages if message.channel == "orders"]
        assert len(await harness.stored()) == 9

    async def test_held_channel_comes_back_alone_after_its_pause(self, harness: OutboxHarness) -> None:
        """Once the pause is over, the rejected rows alone are sent, under the identity that they had."""
        relay = await self._active(harness)
        await harness.add([outgoing("broken"), outgoing("orders"), outgoing("broken")])
        batch = await relay.claim()
        await self._held(relay, rejected(batch, "broken"))
        await harness.add([outgoing("orders"), outgoing("broken")])
        await harness.pass_time(FIRST_PAUSE + 1)
        again = await relay.claim()
        assert again.identity == batch.identity
        assert again.rows == [batch.rows[0], batch.rows[2]]

    async def test_rejections_in_a_row_are_counted(self, harness: OutboxHarness) -> None:
        """Each further rejection is counted, with its reason, and keeps the identity; the first one stays noted."""
        relay = await self._active(harness)
        await harness.add([outgoing("broken")])
        identity, first = (batch := await relay.claim()).identity, 0
        for attempt in range(1, 4):
            held = (await self._held(relay, rejected(batch, "broken", reason=f"reason {attempt}")))["broken"]
            first = first or held.since_ms
            assert (held.attempts, held.reason, held.identity) == (attempt, f"reason {attempt}", identity)
            assert held.since_ms <= first
            await harness.pass_time(LONGEST_PAUSE + 1)
            batch = await relay.claim()

    async def test_pauses_double_up_to_a_minute(self, harness: OutboxHarness) -> None:
        """The sixth rejection in a row holds the channel for 32 seconds, the twelfth for one minute."""
        relay = await self._active(harness)
        await harness.add([outgoing("broken")])
        batch = await relay.claim()
        for attempt in range(1, 13):
            assert await self._held(relay, rejected(batch, "broken"))
            if attempt == 6:
                await harness.pass_time(16)
                assert await self._held(relay)
                await harness.pass_time(17)
            else:
                await harness.pass_time(LONGEST_PAUSE + 1)
            batch = await relay.claim()

    async def test_channel_that_is_taken_again_is_released(self, harness: OutboxHarness) -> None:
        """After its rejected rows were published, the channel's other rows follow in their order."""
        relay = await self._active(harness)
        messages = [outgoing(channel) for _ in range(4) for channel in ("broken", "orders")]
        await harness.add(messages[:4])
        await relay.publish_all(rejecting=["broken"])
        await harness.add(messages[4:])
        await relay.publish_all()
        await harness.pass_time(FIRST_PAUSE + 1)
        settled = SettledBatch(await relay.claim())
        assert event_ids(settled.batch) == [messages[0].event_id, messages[2].event_id]
        claim = await relay.next_batch(settled)
        assert claim.held == {}
        assert event_ids(claim.batch) == [messages[4].event_id, messages[6].event_id]

    async def test_channels_are_held_each_on_its_own(self, harness: OutboxHarness) -> None:
        """Of two held channels one may be released while the other stays held."""
        relay = await self._active(harness)
        await harness.add([outgoing("broken"), outgoing("forbidden")])
        await self._held(relay, rejected(await relay.claim(), "broken", "forbidden"))
        await harness.pass_time(FIRST_PAUSE + 1)
        settled = rejected(await relay.claim(), "broken")
        other = await relay.claim(settled)
        assert {row.message.channel for row in [*settled.batch.rows, *other.rows]} == {"broken", "forbidden"}
        assert list(await self._held(relay, SettledBatch(other))) == list(settled.rejected)

    async def test_discarded_channel_is_released(self, harness: OutboxHarness) -> None:
        """When the rejected rows are gone, the channel is released and its next rows are claimed."""
        relay = await self._active(harness)
        await harness.add([broken := outgoing("broken"), outgoing("orders")])
        await self._held(relay, rejected(await relay.claim(), "broken"))
        await harness.add([later := outgoing("broken")])
        await harness.discard(broken.event_id)
        await harness.pass_time(FIRST_PAUSE + 1)
        claim = await relay.next_batch()
        assert event_ids(claim.batch) == [later.event_id]
        assert claim.held == {}

    async def test_held_channel_stays_held_over_a_takeover(self, harness: OutboxHarness) -> None:
        """A successor knows what is held, and repeats it under the first relay's identity."""
        first, second = await self._active(harness), Relay(harness.store())
        await harness.add([outgoing("broken")])
        batch = await first.claim()
        held = await self._held(first, rejected(batch, "broken"))
        await first.store.release(first.lease, None)
        await second.take_over()
        assert second.lease.unsettled is None
        assert await self._held(second) == held
        await harness.pass_time(FIRST_PAUSE + 1)
        assert await second.claim() == batch

    async def test_repeat_of_a_held_channel_is_noted(self, harness: OutboxHarness) -> None:
        """A relay that dies while it repeats a held channel leaves that batch to its successor."""
        first, second = await self._active(harness), Relay(harness.store())
        await harness.add([outgoing("broken")])
        batch = await first.claim()
        await self._held(first, rejected(batch, "broken"))
        await harness.pass_time(FIRST_PAUSE + 1)
        await first.claim()
        await harness.pass_time(LEASE + 1)
        await second.take_over()
        assert second.lease.unsettled == batch
        claim = await second.next_batch(SettledBatch(batch))
        assert claim == Claim(None)
        assert await harness.stored() == []

    async def test_channel_rejected_at_the_takeover_is_held(self, harness: OutboxHarness) -> None:
        """A repeated batch may be rejected in part, as any other."""
        first, second = await self._active(harness), Relay(harness.store())
        await harness.add([broken := outgoing("broken"), outgoing("orders")])
        batch = await first.claim()
        await harness.pass_time(LEASE + 1)
        await second.take_over()
        held = await self._held(second, rejected(batch, "broken"))
        assert held["broken"].identity == batch.identity
        assert await harness.stored() == [broken.event_id]

    async def test_channel_rejected_at_the_release_is_held(self, harness: OutboxHarness) -> None:
        """The last batch of a relay may be rejected in part; the successor knows."""
        first, second = await self._active(harness), Relay(harness.store())
        await harness.add([outgoing("orders"), broken := outgoing("broken")])
        await first.store.release(first.lease, rejected(await first.claim(), "broken"))
        await second.take_over()
        assert list(await self._held(second)) == ["broken"]
        assert await harness.stored() == [broken.event_id]
