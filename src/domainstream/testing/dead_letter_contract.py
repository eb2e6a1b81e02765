"""The contract suite of `StreamReader.store_dead` and `DeadLetterRedrive`. Use it like `stream_contract`."""

import pytest

from domainstream.stream import DeadLetter
from domainstream.stream.port import MAX_KEPT_BYTES, Fields
from domainstream.testing.stream_contract import FIRST, SECOND, Owner, StreamHarness, read_all, texts


async def store(
    harness: StreamHarness, data: bytes | None, channel: str = FIRST, other: Fields = ()
) -> tuple[Owner, DeadLetter]:
    """Add an entry, read it and store it as a dead letter."""
    await harness.add(channel, data, other)
    owner = await Owner.of(harness.reader(), channel)
    (delivery,) = (await owner.turn()).deliveries
    return owner, await owner.store_dead(delivery)


async def stored(harness: StreamHarness, channel: str = FIRST) -> list[tuple[str, str, str, bytes | None]]:
    """Return entry id, error, reason and data of each dead letter of a channel."""
    dead_letters = [entry.dead_letter for entry in await harness.redrive().page(channel)]
    return [(dead.delivery.entry_id, dead.error, dead.reason, dead.delivery.data) for dead in dead_letters]


@pytest.mark.asyncio
class DeadLetterContract:
    """The behaviour of `store_dead` and `DeadLetterRedrive`; subclasses provide the fixture `harness`."""

    @pytest.mark.parametrize("data", [b"rubbish", None])
    async def test_dead_letter_is_stored_and_its_entry_acknowledged(
        self, harness: StreamHarness, data: bytes | None
    ) -> None:
        """A dead letter has the entry's id, the error and the data; the entry is not delivered again."""
        _, dead_letter = await store(harness, data)
        assert await stored(harness) == [(dead_letter.delivery.entry_id, "HostileJsonError", "not JSON", data)]
        assert await harness.pending() == []

    @pytest.mark.parametrize("data", [b"rubbish", None])
    async def test_dead_letter_keeps_the_other_fields(self, harness: StreamHarness, data: bytes | None) -> None:
        """A dead letter has all fields of its entry, in their order, as a foreign producer wrote them."""
        other = ((b"payload", b"{}"), (b"error", b"theirs"), (b"\xff", b""), (b"field:a", b"\xfe"))
        _, dead_letter = await store(harness, data, other=other)
        (stored,) = await harness.redrive().page(FIRST)
        assert dead_letter.delivery.other == stored.dead_letter.delivery.other == other
        assert (stored.dead_letter.delivery.data, stored.left_out) == (data, 0)
        assert stored.dead_letter.error == "HostileJsonError"

    @pytest.mark.parametrize(
        ("other", "kept", "left_out"),
        [
            (((b"a", b"x" * MAX_KEPT_BYTES), (b"b", b"y")), ((b"a", b"x" * (MAX_KEPT_BYTES - 1)),), 3),
            (((b"n" * (MAX_KEPT_BYTES + 1), b"y"),), (), MAX_KEPT_BYTES + 2),
            (tuple((b"%d" % n, b"") for n in range(10_000)), tuple((b"%d" % n, b"") for n in range(64)), 38_772),
        ],
    )
    async def test_fields_that_are_too_large_are_cut(
        self, harness: StreamHarness, other: Fields, kept: Fields, left_out: int
    ) -> None:
        """A dead letter keeps a bounded part of the other fields, says how many bytes it left out, and has all data."""
        await store(harness, b"data", other=other)
        (stored,) = await harness.redrive().page(FIRST)
        assert (stored.dead_letter.delivery.other, stored.left_out) == (kept, left_out)
        assert stored.dead_letter.delivery.data == b"data"
        await harness.redrive().redrive(FIRST)
        (again,) = await read_all(harness)
        assert (again.data, again.other) == (b"data", ())

    async def test_redriven_entry_has_its_other_fields(self, harness: StreamHarness) -> None:
        """Redriving appends the other fields as well, after the data."""
        other = ((b"traceparent", b"00-1"), (b"data2", b""))
        await store(harness, b"1", other=other)
        await harness.redrive().redrive(FIRST)
        (again,) = await read_all(harness)
        assert (again.data, again.other) == (b"1", other)

    async def test_storing_twice_keeps_one_dead_letter(self, harness: StreamHarness) -> None:
        """A repeat, as after a lost reply, stores no second dead letter."""
        owner, dead_letter = await store(harness, None)
        await owner.store_dead(dead_letter.delivery)
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
        deliveries = await read_all(harness)
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
        assert texts(await read_all(harness)) == [b"2"]
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
        assert texts(await read_all(harness)) == [b"2"]

    async def test_closing_twice_does_nothing(self, harness: StreamHarness) -> None:
        """A second `close` does nothing."""
        redrive = harness.redrive()
        for _ in range(2):
            await redrive.close()
