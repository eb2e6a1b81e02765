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

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import pytest

from domainstream.stream import DeadLetterRedrive, DeadLetters, Delivery, Loss, OnLoss, StreamReader
from domainstream.stream.port import Fields

FIRST: Final = "first_channel"
SECOND: Final = "second_channel"
TIMEOUT: Final = 10.0
"""Seconds until a test stops waiting for what should happen at once."""


class StreamHarness(ABC):
    """Streams, and readers of one group on the channels `FIRST` and `SECOND`.

    A read should wait a fraction of a second for new entries, and `claim_after` should be some seconds.
    """

    @abstractmethod
    async def add(self, channel: str, data: bytes | None, other: Fields = ()) -> str:
        """Add an entry to a stream and return its id; None leaves out the field `data`, `other` are other fields."""

    @abstractmethod
    async def trim(self, channel: str, *, keep: int) -> None:
        """Remove the oldest entries until `keep` are left."""

    @abstractmethod
    async def abandon(self) -> None:
        """Make everything that is pending look as if it had been so for an hour."""

    @abstractmethod
    async def destroy_group(self, channel: str) -> None:
        """Remove the group from a channel."""

    @abstractmethod
    def reader(self, consumer: str = "one", *, on_loss: OnLoss | None = None) -> StreamReader:
        """Open a reader with this consumer name."""

    @abstractmethod
    def dead_letters(self) -> DeadLetters:
        """Open the dead letters, in the readers' group."""

    @abstractmethod
    def redrive(self) -> DeadLetterRedrive:
        """Open the redrive of these dead letters."""

    @abstractmethod
    async def close(self) -> None:
        """Close everything that was opened."""


async def read_some(reader: StreamReader) -> list[Delivery]:
    """Read until there are deliveries, and leave them unacknowledged."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            if deliveries := await reader.read():
                return list(deliveries)


async def read_all(reader: StreamReader, count: int) -> list[Delivery]:
    """Read and acknowledge until there were `count` deliveries."""
    deliveries: list[Delivery] = []
    while len(deliveries) < count:
        page = await read_some(reader)
        await reader.acknowledge(page)
        deliveries += page
    return deliveries


def texts(deliveries: Sequence[Delivery]) -> list[bytes | None]:
    """Return the data of deliveries."""
    return [delivery.data for delivery in deliveries]


@pytest.mark.asyncio
class StreamContract:
    """The behaviour of `StreamReader`; subclasses provide the fixture `harness`."""

    async def test_entries_are_delivered_in_the_order_of_their_channel(self, harness: StreamHarness) -> None:
        """Entries from before the group existed are delivered too, each channel in its order, once."""
        added = [await harness.add(FIRST, b"%d" % number) for number in range(50)]
        await harness.add(SECOND, b"other")
        deliveries = await read_all(harness.reader(), 51)
        assert [delivery.entry_id for delivery in deliveries if delivery.channel == FIRST] == added
        assert [delivery.data for delivery in deliveries if delivery.channel == SECOND] == [b"other"]
        assert {delivery.deliveries for delivery in deliveries} == {1}

    async def test_idle_read_returns_nothing(self, harness: StreamHarness) -> None:
        """A read with nothing to deliver returns within some seconds."""
        async with asyncio.timeout(TIMEOUT):
            assert list(await harness.reader().read()) == []

    async def test_blocked_read_wakes_up(self, harness: StreamHarness) -> None:
        """An entry that is added while a read waits is delivered by that read."""
        reader = harness.reader()
        await reader.read()
        reading = asyncio.create_task(read_all(reader, 1))
        await asyncio.sleep(0)
        await harness.add(FIRST, b"new")
        assert texts(await reading) == [b"new"]

    async def test_entry_without_data_is_delivered_as_none(self, harness: StreamHarness) -> None:
        """An entry that lacks the field `data` is delivered with None."""
        await harness.add(FIRST, None)
        assert texts(await read_some(harness.reader())) == [None]

    @pytest.mark.parametrize("data", [b"", b"\x00\xff not JSON", b"x" * 300_000])
    async def test_undecodable_data_is_delivered_as_it_is(self, harness: StreamHarness, data: bytes) -> None:
        """A reader delivers data of any kind and size unchanged."""
        await harness.add(FIRST, data)
        assert texts(await read_some(harness.reader())) == [data]

    async def test_what_is_not_acknowledged_is_delivered_again(self, harness: StreamHarness) -> None:
        """An abandoned entry is delivered to the same reader again, counted, and does not hold up new entries."""
        reader = harness.reader()
        await harness.add(FIRST, b"old")
        await read_some(reader)
        await harness.add(FIRST, b"new")
        assert texts(await read_all(reader, 1)) == [b"new"]
        await harness.abandon()
        (again,) = await read_some(reader)
        assert again.data == b"old"
        assert again.deliveries == 2

    async def test_restarted_consumer_gets_what_it_left_pending(self, harness: StreamHarness) -> None:
        """A crash between reading and acknowledging loses nothing: the next reader of that name starts with it."""
        await harness.add(FIRST, b"old")
        await read_some(harness.reader("one"))
        await harness.add(FIRST, b"new")
        deliveries = await read_all(harness.reader("one"), 2)
        assert [(delivery.data, delivery.deliveries) for delivery in deliveries] == [(b"old", 2), (b"new", 1)]

    async def test_large_backlog_of_pending_entries_is_delivered_in_order(self, harness: StreamHarness) -> None:
        """Pending entries that fill many reads are all delivered again, each channel in its order."""
        for number in range(100):
            await harness.add(FIRST, b"%d" % number)
            await harness.add(SECOND, b"%d" % number)
        crashed = harness.reader("one")
        seen = 0
        while seen < 200:
            seen += len(await read_some(crashed))
        deliveries = await read_all(harness.reader("one"), 200)
        for channel in (FIRST, SECOND):
            of_channel = [delivery for delivery in deliveries if delivery.channel == channel]
            assert texts(of_channel) == [b"%d" % number for number in range(100)]

    async def test_another_consumer_gets_only_new_entries(self, harness: StreamHarness) -> None:
        """Consumers of a group share its entries: none is delivered to two of them at a time."""
        await harness.add(FIRST, b"old")
        await read_some(harness.reader("one"))
        await harness.add(FIRST, b"new")
        assert texts(await read_some(harness.reader("two"))) == [b"new"]

    async def test_another_consumer_reclaims_after_a_crash(self, harness: StreamHarness) -> None:
        """Entries that a consumer abandoned are delivered to another one, before new entries, and are counted."""
        await harness.add(FIRST, b"old")
        await read_some(harness.reader("one"))
        await harness.add(FIRST, b"new")
        await harness.abandon()
        deliveries = await read_all(harness.reader("two"), 2)
        assert [(delivery.data, delivery.deliveries) for delivery in deliveries] == [(b"old", 2), (b"new", 1)]

    async def test_what_is_acknowledged_is_not_delivered_again(self, harness: StreamHarness) -> None:
        """Acknowledging settles an entry for the whole group, and acknowledging twice changes nothing."""
        await harness.add(FIRST, b"old")
        reader = harness.reader("one")
        deliveries = await read_all(reader, 1)
        await reader.acknowledge(deliveries)
        await harness.add(FIRST, b"new")
        assert texts(await read_all(harness.reader("one"), 1)) == [b"new"]

    async def test_vanished_group_is_recreated_at_the_beginning(self, harness: StreamHarness) -> None:
        """After the group is destroyed, entries are delivered once more rather than never."""
        reader = harness.reader()
        await harness.add(FIRST, b"old")
        await read_all(reader, 1)
        await harness.destroy_group(FIRST)
        await harness.add(FIRST, b"new")
        assert texts(await read_all(reader, 2)) == [b"old", b"new"]

    async def test_group_that_vanishes_under_a_blocked_read_is_recreated(self, harness: StreamHarness) -> None:
        """A read that waits notices too, and later entries are delivered."""
        reader = harness.reader()
        await reader.read()
        reading = asyncio.create_task(read_all(reader, 1))
        await asyncio.sleep(0)
        await harness.destroy_group(FIRST)
        await harness.add(FIRST, b"new")
        assert texts(await reading) == [b"new"]

    async def test_loss_is_reported_once_before_anything_newer(self, harness: StreamHarness) -> None:
        """What was trimmed unread is counted exactly, with the ids around it, by one of the group's readers."""
        met: list[Loss | bytes | None] = []
        ids = [await harness.add(FIRST, b"%d" % number) for number in range(10)]
        first, second = harness.reader("one", on_loss=met.append), harness.reader("two", on_loss=met.append)
        await read_all(first, 10)
        ids += [await harness.add(FIRST, b"%d" % number) for number in range(10, 20)]
        await harness.trim(FIRST, keep=3)
        for reader in (first, second, first, second):
            met += texts(await reader.read())
        (loss, *rest) = met
        assert isinstance(loss, Loss)
        assert loss.channel == FIRST
        assert loss.count == 7
        assert loss.after == ids[9]
        assert loss.before == ids[17]
        assert rest == [b"17", b"18", b"19"]

    async def test_what_was_trimmed_before_a_group_existed_is_reported_once(self, harness: StreamHarness) -> None:
        """A group that is created late begins with what the stream holds, and its first read reports what it missed."""
        losses: list[Loss] = []
        for number in range(10):
            await harness.add(FIRST, b"%d" % number)
        left = await harness.add(FIRST, b"left")
        await harness.trim(FIRST, keep=1)
        reader = harness.reader(on_loss=losses.append)
        assert texts(await read_all(reader, 1)) == [b"left"]
        await harness.reader("two", on_loss=losses.append).read()
        (loss,) = losses
        assert loss.before_group
        assert (loss.channel, loss.count) == (FIRST, 10)
        assert (loss.after, loss.before) == ("0-0", left)

    async def test_pending_entry_that_is_trimmed_is_a_loss(self, harness: StreamHarness) -> None:
        """A trimmed pending entry is reported once, by its id, and then not pending any more."""
        losses: list[Loss] = []
        gone = await harness.add(FIRST, b"gone")
        await read_some(harness.reader("one"))
        await harness.trim(FIRST, keep=0)
        for _ in range(2):
            assert list(await harness.reader("one", on_loss=losses.append).read()) == []
        assert [(loss.count, loss.after, loss.before) for loss in losses] == [(1, gone, gone)]

    async def test_abandoned_entry_that_is_trimmed_is_a_loss(self, harness: StreamHarness) -> None:
        """A trimmed entry that its consumer had abandoned is reported once, by another consumer."""
        losses: list[Loss] = []
        gone = await harness.add(FIRST, b"gone")
        await read_some(harness.reader("one"))
        await harness.abandon()
        await harness.trim(FIRST, keep=0)
        for consumer in ("two", "one"):
            assert list(await harness.reader(consumer, on_loss=losses.append).read()) == []
            assert [(loss.count, loss.after, loss.before) for loss in losses] == [(1, gone, gone)]

    async def test_loss_hook_that_raises_does_not_stop_reading(self, harness: StreamHarness) -> None:
        """An exception of `on_loss` is logged, and entries are delivered."""

        def fail(loss: Loss) -> None:
            raise ValueError(loss.channel)

        await harness.add(FIRST, b"old")
        reader = harness.reader(on_loss=fail)
        await read_all(reader, 1)
        await harness.add(FIRST, b"lost")
        await harness.add(FIRST, b"new")
        await harness.trim(FIRST, keep=1)
        assert texts(await read_all(reader, 1)) == [b"new"]

    async def test_closing_ends_a_blocked_read(self, harness: StreamHarness) -> None:
        """A read that waits returns nothing once the reader is closed."""
        reader = harness.reader()
        await reader.read()
        reading = asyncio.create_task(reader.read())
        await asyncio.sleep(0.01)
        await reader.close()
        async with asyncio.timeout(TIMEOUT):
            assert list(await reading) == []

    async def test_closing_twice_does_nothing(self, harness: StreamHarness) -> None:
        """A second `close` of any of the ports does nothing."""
        ports = (harness.reader(), harness.dead_letters(), harness.redrive())
        for port in (*ports, *ports):
            await port.close()
