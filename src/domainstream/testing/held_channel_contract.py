"""The part of the contract suite of `OutboxStore` about rows that are rejected or discarded; see `outbox_contract`."""

from typing import Final

import pytest

from domainstream.outbox import Claim, HeldChannel, SettledBatch
from domainstream.testing.outbox_harness import LEASE, OutboxHarness, Relay, active_relay, event_ids, outgoing, rejected

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds that a channel is held after it was rejected once, and at most."""


async def held_after(relay: Relay, settled: SettledBatch | None = None) -> dict[str, HeldChannel]:
    """Settle a batch, after which nothing is left to be published now, and return the held channels."""
    claim = await relay.next_batch(settled)
    assert claim.batch is None
    return dict(claim.held)


@pytest.mark.asyncio
class HeldChannelContract:
    """What an `OutboxStore` does with rows that are rejected or discarded; part of `OutboxStoreContract`."""

    async def test_rejected_channel_is_held(self, harness: OutboxHarness) -> None:
        """Its rows stay, it is held with the reason, and the batch's other channels are settled."""
        relay = await active_relay(harness)
        await harness.add([broken := outgoing("broken"), outgoing("orders")])
        batch = await relay.claim()
        held = await held_after(relay, rejected(batch, "broken", reason="WRONGTYPE"))
        assert await harness.stored() == [broken.event_id]
        assert (held["broken"].reason, held["broken"].attempts) == ("WRONGTYPE", 1)
        assert held["broken"].identity == batch.identity
        assert held["broken"].row_ids == [batch.rows[0].row_id]

    async def test_held_channel_is_left_out(self, harness: OutboxHarness) -> None:
        """The rows of other channels go on while one is held, in order, past any number of its rows."""
        relay = await active_relay(harness)
        await harness.add([outgoing("broken")])
        await held_after(relay, rejected(await relay.claim(), "broken"))
        messages = [outgoing(channel) for _ in range(8) for channel in ("broken", "orders")]
        await harness.add(messages)
        published = [event_id for batch in await relay.publish_all() for event_id in batch]
        assert published == [message.event_id for message in messages if message.channel == "orders"]
        assert len(await harness.stored()) == 9

    async def test_held_channel_comes_back_alone_after_its_pause(self, harness: OutboxHarness) -> None:
        """Once the pause is over, the rejected rows alone are sent, under the identity that they had."""
        relay = await active_relay(harness)
        await harness.add([outgoing("broken"), outgoing("orders"), outgoing("broken")])
        batch = await relay.claim()
        await held_after(relay, rejected(batch, "broken"))
        await harness.add([outgoing("orders"), outgoing("broken")])
        await harness.pass_time(FIRST_PAUSE + 1)
        again = await relay.claim()
        assert again.identity == batch.identity
        assert again.rows == [batch.rows[0], batch.rows[2]]

    async def test_rejections_in_a_row_are_counted(self, harness: OutboxHarness) -> None:
        """Each further rejection is counted, with its reason, and keeps the identity; the first one stays noted."""
        relay = await active_relay(harness)
        await harness.add([outgoing("broken")])
        identity, first = (batch := await relay.claim()).identity, 0
        for attempt in range(1, 4):
            held = (await held_after(relay, rejected(batch, "broken", reason=f"reason {attempt}")))["broken"]
            first = first or held.since_ms
            assert (held.attempts, held.reason, held.identity) == (attempt, f"reason {attempt}", identity)
            assert held.since_ms <= first
            await harness.pass_time(LONGEST_PAUSE + 1)
            batch = await relay.claim()

    async def test_pauses_double_up_to_a_minute(self, harness: OutboxHarness) -> None:
        """The sixth rejection in a row holds the channel for 32 seconds, the twelfth for one minute."""
        relay = await active_relay(harness)
        await harness.add([outgoing("broken")])
        batch = await relay.claim()
        for attempt in range(1, 13):
            assert await held_after(relay, rejected(batch, "broken"))
            if attempt == 6:
                await harness.pass_time(16)
                assert await held_after(relay)
                await harness.pass_time(17)
            else:
                await harness.pass_time(LONGEST_PAUSE + 1)
            batch = await relay.claim()

    async def test_channel_that_is_taken_again_is_released(self, harness: OutboxHarness) -> None:
        """After its rejected rows were published, the channel's other rows follow in their order."""
        relay = await active_relay(harness)
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
        relay = await active_relay(harness)
        await harness.add([outgoing("broken"), outgoing("forbidden")])
        await held_after(relay, rejected(await relay.claim(), "broken", "forbidden"))
        await harness.pass_time(FIRST_PAUSE + 1)
        settled = rejected(await relay.claim(), "broken")
        other = await relay.claim(settled)
        assert {row.message.channel for row in [*settled.batch.rows, *other.rows]} == {"broken", "forbidden"}
        assert list(await held_after(relay, SettledBatch(other))) == list(settled.rejected)

    async def test_discarded_channel_is_released(self, harness: OutboxHarness) -> None:
        """When the rejected rows are gone, the channel is released and its next rows are claimed."""
        relay = await active_relay(harness)
        await harness.add([broken := outgoing("broken"), outgoing("orders")])
        await held_after(relay, rejected(await relay.claim(), "broken"))
        await harness.add([later := outgoing("broken")])
        await harness.discard(broken.event_id)
        await harness.pass_time(FIRST_PAUSE + 1)
        claim = await relay.next_batch()
        assert event_ids(claim.batch) == [later.event_id]
        assert claim.held == {}

    async def test_held_channel_stays_held_over_a_takeover(self, harness: OutboxHarness) -> None:
        """A successor knows what is held, and repeats it under the first relay's identity."""
        first, second = await active_relay(harness), Relay(harness.store())
        await harness.add([outgoing("broken")])
        batch = await first.claim()
        held = await held_after(first, rejected(batch, "broken"))
        await first.store.release(first.lease, None)
        await second.take_over()
        assert second.lease.unsettled is None
        assert await held_after(second) == held
        await harness.pass_time(FIRST_PAUSE + 1)
        assert await second.claim() == batch

    async def test_repeat_of_a_held_channel_is_noted(self, harness: OutboxHarness) -> None:
        """A relay that dies while it repeats a held channel leaves that batch to its successor."""
        first, second = await active_relay(harness), Relay(harness.store())
        await harness.add([outgoing("broken")])
        batch = await first.claim()
        await held_after(first, rejected(batch, "broken"))
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
        first, second = await active_relay(harness), Relay(harness.store())
        await harness.add([broken := outgoing("broken"), outgoing("orders")])
        batch = await first.claim()
        await harness.pass_time(LEASE + 1)
        await second.take_over()
        held = await held_after(second, rejected(batch, "broken"))
        assert held["broken"].identity == batch.identity
        assert await harness.stored() == [broken.event_id]

    async def test_channel_rejected_at_the_release_is_held(self, harness: OutboxHarness) -> None:
        """The last batch of a relay may be rejected in part; the successor knows."""
        first, second = await active_relay(harness), Relay(harness.store())
        await harness.add([outgoing("orders"), broken := outgoing("broken")])
        await first.store.release(first.lease, rejected(await first.claim(), "broken"))
        await second.take_over()
        assert list(await held_after(second)) == ["broken"]
        assert await harness.stored() == [broken.event_id]

    async def test_discarded_rows_of_a_noted_batch_are_left_out(self, harness: OutboxHarness) -> None:
        """Rows that were deleted before the takeover are not repeated; without any row there is no batch."""
        relay = await active_relay(harness)
        await harness.add([first := outgoing("orders"), second := outgoing("orders")])
        await relay.claim()
        await harness.discard(first.event_id)
        await relay.take_over()
        assert event_ids(relay.lease.unsettled) == [second.event_id]
        await harness.discard(second.event_id)
        await relay.take_over()
        assert relay.lease.unsettled is None

    async def test_discarded_row_of_a_settled_batch_does_not_matter(self, harness: OutboxHarness) -> None:
        """A row that was deleted while it was published does not keep its batch from being settled."""
        relay = await active_relay(harness)
        await harness.add([message := outgoing("orders"), outgoing("orders")])
        settled = SettledBatch(await relay.claim())
        await harness.discard(message.event_id)
        assert (await relay.next_batch(settled)).batch is None
        assert await harness.stored() == []
