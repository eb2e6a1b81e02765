"""The contract suite of `EventPublisher`. Ours pass it; run it on your own.

Subclass `PublisherContract` in a test file and give it a fixture::

    class TestMyPublisher(PublisherContract):
        @pytest_asyncio.fixture
        async def harness(self):
            async with MyPublisher() as publisher:
                yield PublisherHarness(publisher, read=...)

Needs the extra `testing`. The tests are coroutines marked for pytest-asyncio, so they run in its strict and its auto
mode.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from domainstream.errors import ConfigurationError, PublisherClosedError, receipts_of
from domainstream.producer import EventPublisher, OutgoingMessage
from domainstream.receipt import Outcome

Entry = tuple[str, bytes]


class PublisherHarness(NamedTuple):
    """What the contract needs of a publisher under test."""

    publisher: EventPublisher
    """Open, with nothing published yet. The contract may close it."""

    read: Callable[[str], Awaitable[Sequence[Entry]]]
    """Returns the entries of a channel, oldest first, as entry id and message; works also after `close`."""


def outgoing(channel: str, number: int = 0) -> OutgoingMessage:
    """Make a message that differs from all others."""
    event_id = str(uuid4())
    return OutgoingMessage(channel, event_id, f'{{"id":"{event_id}","number":{number}}}'.encode())


def _orders(channel: str, count: int) -> list[OutgoingMessage]:
    return [outgoing(channel, number) for number in range(count)]


@pytest.mark.asyncio
class PublisherContract:
    """The behaviour of `EventPublisher`; subclasses provide the fixture `harness`."""

    async def test_each_message_has_a_receipt_in_order(self, harness: PublisherHarness) -> None:
        """There is one receipt per message, in their order, saying where it was published."""
        messages = [outgoing("orders"), outgoing("invoices"), outgoing("orders")]
        receipts = await harness.publisher.publish(messages)
        assert [(receipt.event_id, receipt.channel, receipt.outcome) for receipt in receipts] == [
            (message.event_id, message.channel, Outcome.PUBLISHED) for message in messages
        ]

    async def test_entries_hold_the_messages(self, harness: PublisherHarness) -> None:
        """A channel holds the messages' bytes under the ids that the receipts name."""
        messages = _orders("orders", 3)
        receipts = await harness.publisher.publish(messages)
        expected = [(receipt.entry_id, message.data) for receipt, message in zip(receipts, messages, strict=True)]
        assert list(await harness.read("orders")) == expected

    async def test_entry_ids_grow(self, harness: PublisherHarness) -> None:
        """Within a channel each entry's id is greater than the one before, over calls as well."""
        for _ in range(3):
            await harness.publisher.publish(_orders("orders", 5))
        ids = [tuple(map(int, entry_id.split("-"))) for entry_id, _ in await harness.read("orders")]
        assert ids == sorted(set(ids))
        assert len(ids) == 15

    async def test_receipts_claim_no_replicas(self, harness: PublisherHarness) -> None:
        """A call that waits for no replica is published, and its receipts do not say how many have the messages."""
        receipts = await harness.publisher.publish(_orders("orders", 2), confirm=0)
        assert [(receipt.outcome, receipt.confirmed_by) for receipt in receipts] == [(Outcome.PUBLISHED, None)] * 2

    @pytest.mark.parametrize("confirm", [-1, True, "most", 1.5])
    async def test_what_cannot_be_waited_for(self, harness: PublisherHarness, confirm: Any) -> None:
        """A call with a wrong `confirm` raises and stores nothing."""
        with pytest.raises(ConfigurationError, match="confirm must be"):
            await harness.publisher.publish(_orders("orders", 1), confirm=confirm)
        assert list(await harness.read("orders")) == []

    async def test_empty_call_returns_no_receipts(self, harness: PublisherHarness) -> None:
        """A call without messages publishes nothing and returns no receipts."""
        assert await harness.publisher.publish([]) == []

    async def test_large_call_keeps_its_order(self, harness: PublisherHarness) -> None:
        """A call larger than any batch is stored whole and in order."""
        messages = _orders("orders", 2_500)
        await harness.publisher.publish(messages)
        assert [data for _, data in await harness.read("orders")] == [message.data for message in messages]

    async def test_concurrent_calls_keep_their_order(self, harness: PublisherHarness) -> None:
        """Calls that run side by side lose nothing, and each channel has them in the order of the calls."""
        messages = _orders("orders", 300)
        await asyncio.gather(*(harness.publisher.publish([message]) for message in messages))
        assert [data for _, data in await harness.read("orders")] == [message.data for message in messages]

    async def test_channels_do_not_mix(self, harness: PublisherHarness) -> None:
        """Messages of different channels in one call end in their own channels, each in order."""
        messages = [outgoing(channel, number) for number in range(50) for channel in ("orders", "invoices")]
        await harness.publisher.publish(messages)
        for channel in ("orders", "invoices"):
            wanted = [message.data for message in messages if message.channel == channel]
            assert [data for _, data in await harness.read(channel)] == wanted

    async def test_cancelled_call_reports_its_receipts(self, harness: PublisherHarness) -> None:
        """A cancelled call ends with receipts, and a rejected message is not in the channel."""
        messages = _orders("orders", 2_000)
        call = asyncio.create_task(harness.publisher.publish(messages))
        await asyncio.sleep(0)
        call.cancel()
        try:
            receipts = tuple(await call)
        except asyncio.CancelledError as cancelled:
            receipts = receipts_of(cancelled)
        await harness.publisher.close()
        stored = {data for _, data in await harness.read("orders")}
        assert len(receipts) == len(messages)
        for receipt, message in zip(receipts, messages, strict=True):
            assert receipt.outcome is not Outcome.REJECTED or message.data not in stored
            assert receipt.outcome is not Outcome.PUBLISHED or message.data in stored

    async def test_timeout_raises_timeout_error(self, harness: PublisherHarness) -> None:
        """A call under `asyncio.timeout` ends in TimeoutError, with its receipts, or in time."""
        messages = _orders("orders", 2_000)
        try:
            async with asyncio.timeout(0):
                receipts = tuple(await harness.publisher.publish(messages))
        except TimeoutError as too_late:
            receipts = receipts_of(too_late)
        assert [receipt.event_id for receipt in receipts] == [message.event_id for message in messages]

    async def test_cancelled_call_does_not_affect_others(self, harness: PublisherHarness) -> None:
        """Calls beside a cancelled one are published."""
        cancelled = asyncio.create_task(harness.publisher.publish([outgoing("orders")]))
        beside = asyncio.create_task(harness.publisher.publish([outgoing("orders")]))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert [receipt.outcome for receipt in await beside] == [Outcome.PUBLISHED]

    async def test_close_publishes_what_waits(self, harness: PublisherHarness) -> None:
        """Messages passed to `publish` before `close` are published before it returns."""
        messages = _orders("orders", 1_200)
        call = asyncio.create_task(harness.publisher.publish(messages))
        await asyncio.sleep(0)
        await harness.publisher.close()
        assert len(await harness.read("orders")) == len(messages)
        assert {receipt.outcome for receipt in await call} == {Outcome.PUBLISHED}

    async def test_closed_publisher_takes_nothing(self, harness: PublisherHarness) -> None:
        """After `close`, publishing raises and stores nothing."""
        await harness.publisher.close()
        with pytest.raises(PublisherClosedError):
            await harness.publisher.publish([outgoing("orders")])
        assert list(await harness.read("orders")) == []

    async def test_closing_twice_does_nothing(self, harness: PublisherHarness) -> None:
        """`close` may be called again, also side by side."""
        await asyncio.gather(harness.publisher.close(), harness.publisher.close())
        await harness.publisher.close()

    async def test_health_distinguishes_open_from_closed(self, harness: PublisherHarness) -> None:
        """`health` is ok with a round trip while open, and names the problem after `close`."""
        healthy = await harness.publisher.health()
        await harness.publisher.close()
        closed = await harness.publisher.health()
        assert healthy.ok is True
        assert healthy.problem is None
        assert closed.ok is False
        assert healthy.round_trip is not None
        assert closed.problem
