"""The contract suite of `DeadLetters` and `DeadLetterRedrive`. Use it like `stream_contract`."""

import pytest

from domainstream.stream import DeadLetter, DeadLetters, Delivery
from domainstream.testing.stream_contract import FIRST, SECOND, StreamHarness, read_all, read_some, texts


async def store(harness: StreamHarness, data: bytes | None, channel: str = FIRST) -> tuple[DeadLetters, DeadLetter]:
    """Add an entry, read it and store it as a dead letter."""
    await harness.add(channel, data)
    (delivery,) = await read_some(harness.reader("one"))
    port, dead_letter = harness.dead_letters(), DeadLetter(delivery, "HostileJsonError", "not JSON")
    await port.store([dead_letter])
    return port, dead_letter


async def stored(harness: StreamHarness, channel: str = FIRST) -> list[tuple[str, str, str, bytes | None]]:
    """Return entry id, error, reason and data of each dead letter of a channel."""
    dead_letters = [entry.dead_letter for entry in await harness.redrive().page(channel)]
    return [(dead.delivery.entry_id, dead.error, dead.reason, dead.delivery.data) for dead in dead_letters]


async def new_entries(harness: StreamHarness, count: int) -> list[Delivery]:
    """Read as another consumer."""
    return await read_all(harness.reader("two"), count)


@pytest.mark.asyncio
class DeadLetterContract:
    """The behaviour of `DeadLetters` and `DeadLetterRedrive`; subclasses provide the fixture `harness`."""

    @pytest.mark.parametrize("data", [b"rubbish", None])
    async def test_dead_letter_is_stored_and_its_entry_acknowledged(
        self, harness: StreamHarness, data: bytes | None
    ) -> None:
        """A dead letter has the entry's id, the error and the data; the entry is not delivered again."""
        _, dead_letter = await store(harness, data)
        assert await stored(harness) == [(dead_letter.delivery.entry_id, "HostileJsonError", "not JSON", data)]
        assert texts(await harness.reader("one").read()) == []

    async def test_storing_twice_keeps_one_dead_letter(self, harness: StreamHarness) -> None:
        """A repeat, as after a lost reply, stores no second dead letter."""
        port, dead_letter = await store(harness, None)
        await port.store([dead_letter])
        assert len(await stored(harness)) == 1

    async def test_dead_letters_are_listed_in_pages_per_channel(self, harness: StreamHarness) -> None:
        """A page begins after the last dead letter of the previous one, and holds one channel only."""
        for data in (b"1", b"2", b"3"):
            await store(harness, data)
        await store(harness, b"other", SECOND)
        redrive = harness.redrive()
        page = await redrive.page(FIRST, count=2)
        rest = await redrive.page(FIRST, after=page[-1].dead_letter_id)
        assert [stored.dead_letter.delivery.data for stored in (*page, *rest)] == [b"1", b"2", b"3"]
        assert len({stored.group for stored in page}) == 1

    async def test_redriven_dead_letters_are_delivered_again(self, harness: StreamHarness) -> None:
        """Redriving appends the data as new entries, in the order of the dead letters, and removes these."""
        for data in (b"1", b"2", b"3"):
            await store(harness, data)
        done = await harness.redrive().redrive(FIRST, count=2)
        deliveries = await new_entries(harness, 2)
        assert texts(deliveries) == [b"1", b"2"]
        assert tuple(delivery.entry_id for delivery in deliveries) == done.entry_ids
        assert done.without_data == ()
        assert [data for *_, data in await stored(harness)] == [b"3"]

    async def test_one_dead_letter_can_be_redriven(self, harness: StreamHarness) -> None:
        """Redriving one dead letter leaves the others, and does nothing a second time."""
        for data in (b"1", b"2"):
            await store(harness, data)
        redrive = harness.redrive()
        dead_letter_id = (await redrive.page(FIRST))[1].dead_letter_id
        first, second = [await redrive.redrive(FIRST, dead_letter_id=dead_letter_id) for _ in range(2)]
        assert texts(await new_entries(harness, 1)) == [b"2"]
        assert len(first.entry_ids) == 1
        assert second.entry_ids == ()
        assert [data for *_, data in await stored(harness)] == [b"1"]

    async def test_dead_letter_without_data_cannot_be_redriven(self, harness: StreamHarness) -> None:
        """A dead letter without data is named in the result and stays, and does not hold up the others."""
        await store(harness, None)
        await store(harness, b"2")
        redrive = harness.redrive()
        (without, _) = await redrive.page(FIRST)
        done = await redrive.redrive(FIRST, count=1)
        assert len(done.entry_ids) == 1
        assert done.without_data == (without.dead_letter_id,)
        assert [data for *_, data in await stored(harness)] == [None]
        assert texts(await new_entries(harness, 1)) == [b"2"]
