"""The contract suite of `JobAdder`. Ours pass it; run it on your own.

Subclass `JobAdderContract` in a test file and give it a fixture `harness`, a `JobAdderHarness`. Needs the extra
`testing`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import pytest
from msgspec.structs import replace

from domainstream.queue import (
    ChannelEpoch,
    Fenced,
    Job,
    JobAdder,
    QueueBehindError,
    Refusal,
    RoutedEntry,
    TooManyRefusalsError,
)
from domainstream.stream import Delivery, Lease, LeaseLostError

CHANNEL: Final = "first_channel"
QUEUES: Final = ("valuation", "billing")
MAX_REFUSALS: Final = 100
"""How many entries of a channel a queue may refuse before the channel waits."""


class JobAdderHarness(ABC):
    """Queues on a server of their own, whose jobs nobody does."""

    @abstractmethod
    def adder(self) -> JobAdder:
        """Open an adder, as each instance of a subscriber has one."""

    @abstractmethod
    async def jobs(self, queue: str) -> list[str]:
        """Return the ids of the jobs that wait in a queue, oldest first."""

    @abstractmethod
    async def forget(self, queue: str) -> None:
        """Let a queue forget its jobs, as if they were done and removed."""

    @abstractmethod
    async def refuse(self, queue: str) -> None:
        """Let a queue that has no jobs refuse all that it is given."""

    @abstractmethod
    async def accept(self, queue: str) -> None:
        """Let it take jobs again."""

    @abstractmethod
    async def save(self) -> None:
        """Remember the state of the server, as a replica that falls behind."""

    @abstractmethod
    async def fall_back(self) -> None:
        """Lose what was written since it was saved."""

    @abstractmethod
    async def close(self) -> None:
        """Close everything that was opened."""


def lease_of(epoch: int, *, read_to: int = 0, stream: str = "first", stream_before: str = "") -> Lease:
    """Return the lease of an owner that begins when the group has read to an entry; tokens are those of a `stream`."""
    return Lease(
        epoch=epoch,
        last_delivered=f"{read_to}-0",
        owner_before="",
        is_resumed=False,
        epoch_before=epoch - 1,
        token=stream,
        token_before=stream_before,
    )


def entries_of(*numbers: int, queues: Sequence[str] = QUEUES, channel: str = CHANNEL) -> list[RoutedEntry]:
    """Return entries with these numbers, each with a job in each queue."""
    return [
        RoutedEntry(
            Delivery(channel, f"{number}-0", b"data"),
            tuple(Job(queue, "price-stay", f"event-{channel}-{number}", b'{"score":1.50}') for queue in queues),
        )
        for number in numbers
    ]


def ids_of(*numbers: int, channel: str = CHANNEL) -> list[str]:
    """Return the ids of the jobs of entries with these numbers."""
    return [f"event-{channel}-{number}" for number in numbers]


class Owner:
    """A channel in the hands of one adder."""

    def __init__(self, adder: JobAdder, epoch: ChannelEpoch, fenced: dict[str, Fenced], channel: str) -> None:
        self.adder, self.epoch, self.fenced, self.channel = adder, epoch, fenced, channel

    @classmethod
    async def of(cls, adder: JobAdder, lease: Lease, channel: str = CHANNEL) -> "Owner":
        """Announce a lease."""
        epoch, fenced = await adder.fence(channel, lease, QUEUES)
        return cls(adder, epoch, dict(fenced), channel)

    async def add(self, *numbers: int, queues: Sequence[str] = QUEUES) -> Sequence[Refusal]:
        """Add the jobs of entries with these numbers."""
        return await self.add_entries(entries_of(*numbers, queues=queues, channel=self.channel))

    async def add_entries(self, entries: Sequence[RoutedEntry]) -> Sequence[Refusal]:
        """Add the jobs of entries."""
        return await self.adder.add(self.channel, entries, self.epoch)

    async def claimed(self, *numbers: int) -> Sequence[Refusal]:
        """Add the jobs of entries that were claimed from other consumers."""
        epoch = ChannelEpoch(mark=self.epoch.mark, epoch=self.epoch.epoch, queues=QUEUES, is_ordered=False)
        return await self.adder.add(self.channel, entries_of(*numbers), epoch)


@pytest.mark.asyncio
class JobAdderContract:
    """The behaviour of `JobAdder`; subclasses provide the fixture `harness`."""

    async def test_jobs_are_in_their_queues_in_order(self, harness: JobAdderHarness) -> None:
        """Each entry has a job in each queue, over several calls, however many there are."""
        owner = await Owner.of(harness.adder(), lease_of(1))
        assert not await owner.add(*range(1, 600))
        assert not await owner.add(600)
        for queue in QUEUES:
            assert await harness.jobs(queue) == ids_of(*range(1, 601))

    async def test_no_entries_add_nothing(self, harness: JobAdderHarness) -> None:
        """An empty call adds nothing and raises nothing."""
        owner = await Owner.of(harness.adder(), lease_of(1))
        assert not await owner.add()

    async def test_channels_are_added_at_the_same_time(self, harness: JobAdderHarness) -> None:
        """Tasks of many channels share an adder; each channel keeps its order, whichever ids the others have."""
        adder = harness.adder()
        channels = [f"channel_{number}" for number in range(20)]
        owners = [await Owner.of(adder, lease_of(1), channel) for channel in channels]
        for first in (1, 10):
            await asyncio.gather(*(owner.add(*range(first, first + 9)) for owner in owners))
        found = await harness.jobs("valuation")
        for channel in channels:
            assert [job for job in found if f"-{channel}-" in job] == ids_of(*range(1, 19), channel=channel)

    async def test_repeat_adds_nothing_though_the_jobs_are_forgotten(self, harness: JobAdderHarness) -> None:
        """A repeat, as after a lost reply, is skipped by the mark; what is new in it is added."""
        owner = await Owner.of(harness.adder(), lease_of(1))
        await owner.add(1, 2)
        await harness.forget("valuation")
        await owner.add(1, 2, 3)
        assert await harness.jobs("valuation") == ids_of(3)
        assert await harness.jobs("billing") == ids_of(1, 2, 3)

    async def test_next_owner_adds_only_what_is_missing(self, harness: JobAdderHarness) -> None:
        """An owner that died between two queues leaves to the next one what the second lacks."""
        first = await Owner.of(harness.adder(), lease_of(1))
        await first.add(1)
        await first.add(2, queues=["billing"])
        await harness.forget("billing")
        owner = await Owner.of(harness.adder(), lease_of(2, read_to=2))
        await owner.add(1, 2)
        assert await harness.jobs("valuation") == ids_of(1, 2)
        assert await harness.jobs("billing") == []

    async def test_fence_says_where_the_queues_stand(self, harness: JobAdderHarness) -> None:
        """It returns each queue's mark as the owner before has left it."""
        first = await Owner.of(harness.adder(), lease_of(3))
        await first.add(1)
        await first.add(2, queues=["billing"])
        owner = await Owner.of(harness.adder(), lease_of(5, read_to=2, stream_before="first"))
        assert first.fenced == dict.fromkeys(QUEUES, Fenced(0, "", 0))
        assert owner.fenced == {"valuation": Fenced(0, "1-0", 3), "billing": Fenced(0, "2-0", 3)}

    async def test_late_owner_adds_nothing(self, harness: JobAdderHarness) -> None:
        """Once a later owner has announced itself, an earlier one is refused, also when it announces itself."""
        late = await Owner.of(harness.adder(), lease_of(1))
        await Owner.of(harness.adder(), lease_of(7))
        with pytest.raises(LeaseLostError):
            await late.add(1)
        with pytest.raises(LeaseLostError):
            await late.claimed(1)
        assert (await Owner.of(late.adder, lease_of(2))).fenced["valuation"].higher == 7
        assert await harness.jobs("valuation") == []

    async def test_owner_that_is_not_announced_adds_nothing(self, harness: JobAdderHarness) -> None:
        """A queue that does not know of the epoch has been lost, or replaced by another: nothing is certain there."""
        owner = await Owner.of(harness.adder(), lease_of(1))
        owner.epoch = replace(owner.epoch, epoch=2)
        with pytest.raises(LeaseLostError):
            await owner.add(1)
        assert await harness.jobs("valuation") == []

    async def test_entry_that_was_not_read_at_the_take_is_never_taken_for_done(self, harness: JobAdderHarness) -> None:
        """After a failover, a new entry may have a lower id than one that is lost: its jobs are added."""
        first = await Owner.of(harness.adder(), lease_of(1))
        await first.add(1, 5)
        owner = await Owner.of(harness.adder(), lease_of(2, read_to=1))
        await owner.add(3)
        assert await harness.jobs("valuation") == ids_of(1, 5, 3)

    async def test_new_token_forgets_what_was_done(self, harness: JobAdderHarness) -> None:
        """What a group reads again after it was made anew is added again, unless the queue has the job."""
        first = await Owner.of(harness.adder(), lease_of(1))
        await first.add(1, 2)
        await harness.forget("valuation")
        owner = await Owner.of(harness.adder(), lease_of(2, stream="second", stream_before="first"))
        await owner.add(1, 2)
        assert await harness.jobs("valuation") == await harness.jobs("billing") == ids_of(1, 2)
        with pytest.raises(LeaseLostError):
            await first.add(3)

    async def test_refused_entry_is_returned_and_the_others_are_added(self, harness: JobAdderHarness) -> None:
        """A queue that takes nothing holds up no other."""
        await harness.refuse("billing")
        owner = await Owner.of(harness.adder(), lease_of(1))
        refusals = await owner.add(1, 2)
        assert [(refusal.entry_id, refusal.queue) for refusal in refusals] == [("1-0", "billing"), ("2-0", "billing")]
        assert all(refusal.reason and "score" not in refusal.reason for refusal in refusals)
        assert await harness.jobs("valuation") == ids_of(1, 2)

    async def test_refused_entry_can_be_added_later(self, harness: JobAdderHarness) -> None:
        """Also by another owner, and after later entries; it is added once."""
        await harness.refuse("billing")
        first = await Owner.of(harness.adder(), lease_of(1))
        await first.add(1, 2)
        await harness.accept("billing")
        await first.add(3)
        owner = await Owner.of(harness.adder(), lease_of(2, read_to=3))
        assert not await owner.add(1, 2)
        await harness.forget("billing")
        await owner.add(1, 2, 3)
        assert await harness.jobs("billing") == []
        assert await harness.jobs("valuation") == ids_of(1, 2, 3)

    async def test_refused_entry_that_is_given_up_is_not_added_later(self, harness: JobAdderHarness) -> None:
        """Once its dead letter is stored, the queue need not remember it."""
        await harness.refuse("billing")
        owner = await Owner.of(harness.adder(), lease_of(1))
        (refusal, _) = await owner.add(1, 2)
        await owner.add_entries([RoutedEntry(entries_of(1)[0].delivery)])
        await harness.accept("billing")
        await owner.add(1, 2)
        assert refusal.entry_id == "1-0"
        assert await harness.jobs("billing") == ids_of(2)

    async def test_channel_waits_when_too_many_are_refused(self, harness: JobAdderHarness) -> None:
        """Nothing passes an entry that cannot be noted; afterwards each is added once, and the channel goes on."""
        numbers = range(1, MAX_REFUSALS + 2)
        await harness.refuse("billing")
        owner = await Owner.of(harness.adder(), lease_of(1))
        assert len(await owner.add(*numbers[:-1])) == MAX_REFUSALS
        for _ in range(2):
            with pytest.raises(TooManyRefusalsError, match="billing"):
                await owner.add(numbers[-1])
        await harness.accept("billing")
        assert not await owner.add(*numbers)
        assert await harness.jobs("billing") == ids_of(*numbers)
        assert await harness.jobs("valuation") == ids_of(*numbers)

    async def test_queue_that_lost_jobs_is_noticed(self, harness: JobAdderHarness) -> None:
        """The next call adds nothing, but says how far the queue has the jobs; from there they can be added again."""
        owner = await Owner.of(harness.adder(), lease_of(1))
        await owner.add(1)
        await harness.save()
        await owner.add(2)
        await harness.fall_back()
        with pytest.raises(QueueBehindError) as raised:
            await owner.add(3)
        assert raised.value.mark == "1-0"
        assert await harness.jobs(raised.value.queue) == ids_of(1)
        owner.epoch.reached.update(dict.fromkeys(QUEUES, "1-0"))
        await owner.add(2, 3)
        for queue in QUEUES:
            assert await harness.jobs(queue) == ids_of(1, 2, 3)

    async def test_claimed_entry_is_added_though_the_mark_is_past_it(self, harness: JobAdderHarness) -> None:
        """Marks say nothing of it, and do not move with it; the id of its job keeps it from being added twice."""
        owner = await Owner.of(harness.adder(), lease_of(1))
        await owner.add(2)
        for _ in range(2):
            await owner.claimed(1, 4)
        await owner.add(3)
        assert await harness.jobs("valuation") == ids_of(2, 1, 4, 3)

    async def test_closing_twice_does_nothing(self, harness: JobAdderHarness) -> None:
        """A second `close` does nothing."""
        adder = harness.adder()
        for _ in range(2):
            await adder.close()
