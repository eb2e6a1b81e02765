"""What every `StreamReader` and every `DeadLetters` must do; a test class per implementation derives from these."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest
from support.consuming import PATIENCE

from domainstream.stream import DeadLetter, DeadLetters, Delivery, StreamReader

FIRST, SECOND = "first_channel", "second_channel"


class StreamPlace(ABC):
    """Somewhere that holds streams, and opens readers of one group on the two channels."""

    @abstractmethod
    async def add(self, channel: str, data: bytes | None) -> str:
        """Put an entry into a stream; None leaves out the field `data`."""

    @abstractmethod
    def reader(self, consumer: str = "one") -> StreamReader:
        """Open a reader under this name."""

    @abstractmethod
    def dead_letters(self) -> DeadLetters:
        """Open the dead letters."""

    @abstractmethod
    async def buried(self, channel: str) -> list[tuple[str, str, str, bytes | None]]:
        """Return entry id, error, reason and data of each dead letter of a channel."""

    @abstractmethod
    async def destroy_group(self, channel: str) -> None:
        """Let the group vanish from a channel."""

    @abstractmethod
    async def close(self) -> None:
        """Close all readers and dead letters."""


async def read_all(reader: StreamReader, count: int) -> list[Delivery]:
    """Read and acknowledge until `count` deliveries came."""
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            deliveries = await reader.read()
            await reader.acknowledge(deliveries)
            found += deliveries
    return found


def texts(deliveries: Sequence[Delivery]) -> list[bytes | None]:
    """Return what was delivered."""
    return [delivery.data for delivery in deliveries]


class StreamContract:
    """Behaviours of a reader and its dead letters."""

    @pytest.fixture
    async def place(self) -> StreamPlace:
        """To be overridden: where this implementation keeps its streams."""
        raise NotImplementedError

    async def test_entries_come_in_the_order_of_their_channel(self, place: StreamPlace) -> None:
        """What was added before the group existed is delivered too, each channel in its order."""
        added = [await place.add(FIRST, b"%d" % number) for number in range(5)]
        await place.add(SECOND, b"other")
        found = await read_all(place.reader(), 6)
        assert [delivery.entry_id for delivery in found if delivery.channel == FIRST] == added
        assert [delivery.data for delivery in found if delivery.channel == SECOND] == [b"other"]

    async def test_an_idle_read_comes_back_empty(self, place: StreamPlace) -> None:
        """A read with nothing to deliver returns within some seconds."""
        async with asyncio.timeout(PATIENCE):
            assert list(await place.reader().read()) == []

    async def test_a_blocked_read_wakes_up(self, place: StreamPlace) -> None:
        """An entry that is added while a read waits is delivered by that read."""
        reader = place.reader()
        await reader.read()
        reading = asyncio.create_task(read_all(reader, 1))
        await asyncio.sleep(0)
        await place.add(FIRST, b"news")
        assert texts(await reading) == [b"news"]

    async def test_an_entry_without_data_is_delivered_as_none(self, place: StreamPlace) -> None:
        """A missing field is something to see, not something to fall over."""
        await place.add(FIRST, None)
        assert texts(await place.reader().read()) == [None]

    async def test_what_is_not_acknowledged_comes_again_before_news(self, place: StreamPlace) -> None:
        """A reader that failed to settle a batch gets that batch again first."""
        reader = place.reader()
        await place.add(FIRST, b"old")
        await reader.read()
        await place.add(FIRST, b"new")
        assert texts(await reader.read()) == [b"old"]

    async def test_a_restarted_consumer_gets_what_it_left_behind(self, place: StreamPlace) -> None:
        """A crash between reading and acknowledging loses nothing: the next reader of that name starts with it."""
        await place.add(FIRST, b"old")
        await place.reader("one").read()
        await place.add(FIRST, b"new")
        assert texts(await read_all(place.reader("one"), 2)) == [b"old", b"new"]

    async def test_another_consumer_gets_only_news(self, place: StreamPlace) -> None:
        """Consumers of a group share its entries: none is delivered to two of them."""
        await place.add(FIRST, b"old")
        await place.reader("one").read()
        await place.add(FIRST, b"new")
        assert texts(await place.reader("two").read()) == [b"new"]

    async def test_what_is_acknowledged_never_comes_again(self, place: StreamPlace) -> None:
        """Acknowledging settles an entry for the whole group, and doing it twice changes nothing."""
        await place.add(FIRST, b"old")
        reader = place.reader("one")
        found = await read_all(reader, 1)
        await reader.acknowledge(found)
        await place.add(FIRST, b"new")
        assert texts(await read_all(place.reader("one"), 1)) == [b"new"]

    async def test_a_vanished_group_is_made_again_at_the_beginning(self, place: StreamPlace) -> None:
        """When somebody destroys the group, entries come once more rather than never."""
        reader = place.reader()
        await place.add(FIRST, b"old")
        await read_all(reader, 1)
        await place.destroy_group(FIRST)
        await place.add(FIRST, b"new")
        assert texts(await read_all(reader, 2)) == [b"old", b"new"]

    async def test_closing_twice_does_nothing(self, place: StreamPlace) -> None:
        """Close is idempotent, for readers and dead letters."""
        reader, dead_letters = place.reader(), place.dead_letters()
        for port in (reader, dead_letters, reader, dead_letters):
            await port.close()

    async def test_a_buried_entry_is_kept_and_acknowledged(self, place: StreamPlace) -> None:
        """A dead letter says which entry, why and what; the entry does not come again."""
        entry_id = await place.add(FIRST, b"rubbish")
        (delivery,) = await place.reader("one").read()
        await place.dead_letters().bury([DeadLetter(delivery, "HostileJsonError", "not JSON")])
        assert await place.buried(FIRST) == [(entry_id, "HostileJsonError", "not JSON", b"rubbish")]
        assert texts(await place.reader("one").read()) == []

    async def test_burying_twice_keeps_one_letter(self, place: StreamPlace) -> None:
        """A repeat after a lost reply leaves no second letter."""
        await place.add(FIRST, None)
        (delivery,) = await place.reader().read()
        letter = DeadLetter(delivery, "InvalidEnvelopeError", "no data")
        dead_letters = place.dead_letters()
        await dead_letters.bury([letter])
        await dead_letters.bury([letter])
        assert len(await place.buried(FIRST)) == 1
