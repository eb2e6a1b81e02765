"""What every `DeadLetters` and every `DeadLetterRedrive` must do, as tests. Used like `stream_contract`."""

import pytest

from domainstream.stream import DeadLetter, DeadLetters, Delivery
from domainstream.testing.stream_contract import FIRST, SECOND, StreamHarness, read_all, read_some, texts


async def store(harness: StreamHarness, data: bytes | None, channel: str = FIRST) -> tuple[DeadLetters, DeadLetter]:
    """Add an entry, read it and bury it."""
    await harness.add(channel, data)
    (delivery,) = await read_some(harness.reader("one"))
    dead_letters, letter = harness.dead_letters(), DeadLetter(delivery, "HostileJsonError", "not JSON")
    await dead_letters.store([letter])
    return dead_letters, letter


async def buried(harness: StreamHarness, channel: str = FIRST) -> list[tuple[str, str, str, bytes | None]]:
    """Return entry id, error, reason and data of each dead letter of a channel."""
    letters = [one.dead_letter for one in await harness.redrive().page(channel)]
    return [(letter.delivery.entry_id, letter.error, letter.reason, letter.delivery.data) for letter in letters]


async def new_entries(harness: StreamHarness, count: int) -> list[Delivery]:
    """Read as another consumer."""
    return await read_all(harness.reader("two"), count)


@pytest.mark.asyncio
class DeadLetterContract:
    """The behaviour of `DeadLetters` and `DeadLetterRedrive`; subclasses provide the fixture `harness`."""

    @pytest.mark.parametrize("data", [b"rubbish", None])
    async def test_a_buried_entry_is_kept_and_acknowledged(self, harness: StreamHarness, data: bytes | None) -> None:
        """A dead letter says which entry, why and what; the entry does not come again."""
        _, letter = await store(harness, data)
        assert await buried(harness) == [(letter.delivery.entry_id, "HostileJsonError", "not JSON", data)]
        assert texts(await harness.reader("one").read()) == []

    async def test_burying_twice_keeps_one_letter(self, harness: StreamHarness) -> None:
        """A repeat after a lost reply leaves no second letter."""
        dead_letters, letter = await store(harness, None)
        await dead_letters.store([letter])
        assert len(await buried(harness)) == 1

    async def test_letters_come_in_pages_per_channel(self, harness: StreamHarness) -> None:
        """Who looks at many goes on behind the last one seen; other channels do not mix in."""
        for data in (b"1", b"2", b"3"):
            await store(harness, data)
        await store(harness, b"other", SECOND)
        redrive = harness.redrive()
        page = await redrive.page(FIRST, count=2)
        rest = await redrive.page(FIRST, after=page[-1].dead_letter_id)
        assert [one.dead_letter.delivery.data for one in (*page, *rest)] == [b"1", b"2", b"3"]
        assert len({one.group for one in page}) == 1

    async def test_redriven_letters_are_delivered_once_more(self, harness: StreamHarness) -> None:
        """Their data comes as new entries, in the letters' order, and the letters are gone."""
        for data in (b"1", b"2", b"3"):
            await store(harness, data)
        done = await harness.redrive().redrive(FIRST, count=2)
        found = await new_entries(harness, 2)
        assert texts(found) == [b"1", b"2"]
        assert tuple(delivery.entry_id for delivery in found) == done.entry_ids
        assert done.without_data == ()
        assert [data for *_, data in await buried(harness)] == [b"3"]

    async def test_one_letter_can_be_redriven(self, harness: StreamHarness) -> None:
        """The others stay; a second time there is nothing to do."""
        for data in (b"1", b"2"):
            await store(harness, data)
        redrive = harness.redrive()
        dead_letter_id = (await redrive.page(FIRST))[1].dead_letter_id
        first, second = [await redrive.redrive(FIRST, dead_letter_id=dead_letter_id) for _ in range(2)]
        assert texts(await new_entries(harness, 1)) == [b"2"]
        assert len(first.entry_ids) == 1
        assert second.entry_ids == ()
        assert [data for *_, data in await buried(harness)] == [b"1"]

    async def test_a_letter_without_data_cannot_go_back(self, harness: StreamHarness) -> None:
        """It is named and stays, and does not stand in the way of others."""
        await store(harness, None)
        await store(harness, b"2")
        redrive = harness.redrive()
        (without, _) = await redrive.page(FIRST)
        done = await redrive.redrive(FIRST, count=1)
        assert len(done.entry_ids) == 1
        assert done.without_data == (without.dead_letter_id,)
        assert [data for *_, data in await buried(harness)] == [None]
        assert texts(await new_entries(harness, 1)) == [b"2"]
