"""What every `HandOver` must do, as tests. Ours pass it; run it over your own.

Subclass `HandOverContract` in a test file and give it a fixture `place`, a `HandOverPlace`. Needs the extra `testing`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest

from domainstream.queue import HandOver, Job, Parcel
from domainstream.stream import DeadLetter, Delivery

FIRST, SECOND = "first_channel", "second_channel"


class HandOverPlace(ABC):
    """Streams with one group and one consumer that reads them, and queues.

    Attributes:
        hand_over: What is under test.
    """

    hand_over: HandOver

    @abstractmethod
    async def deliver(self, *channels: str) -> list[Delivery]:
        """Put an entry into each of the channels, in this order, and return them as delivered to the consumer."""

    @abstractmethod
    async def pending(self) -> int:
        """Return how many entries of both channels wait to be acknowledged."""

    @abstractmethod
    async def jobs(self, queue: str) -> list[str]:
        """Return the ids of the jobs that wait in a queue, oldest first."""

    @abstractmethod
    async def letters(self, channel: str) -> list[str]:
        """Return the reasons of a channel's dead letters, oldest first."""


def parcel(delivery: Delivery, *queues: str) -> Parcel:
    """Return a delivery that becomes a job in each of the queues."""
    return Parcel(delivery, tuple(Job(queue, "price-stay", job_id(delivery), b'{"score":1.50}') for queue in queues))


def job_id(delivery: Delivery) -> str:
    """Return the id of the jobs of a delivery."""
    return f"event-{delivery.channel}-{delivery.entry_id}"


def parcels(deliveries: Sequence[Delivery], *queues: str) -> list[Parcel]:
    """Return deliveries that become a job in each of the queues."""
    return [parcel(delivery, *queues) for delivery in deliveries]


@pytest.mark.asyncio
class HandOverContract:
    """The behaviour of `HandOver`; subclasses provide the fixture `place`."""

    async def test_jobs_are_in_their_queues_and_entries_are_acknowledged(self, place: HandOverPlace) -> None:
        """Each delivery has a job in each queue, in the order of the deliveries, and nothing is left pending."""
        deliveries = await place.deliver(FIRST, FIRST, SECOND)
        await place.hand_over.hand_over(parcels(deliveries, "valuation", "billing"))
        wanted = [job_id(delivery) for delivery in deliveries]
        assert (await place.jobs("valuation"), await place.jobs("billing")) == (wanted, wanted)
        assert await place.pending() == 0

    async def test_what_nobody_listens_to_is_acknowledged(self, place: HandOverPlace) -> None:
        """A parcel without jobs settles its entry."""
        await place.hand_over.hand_over(parcels(await place.deliver(FIRST)))
        assert await place.pending() == 0

    async def test_letters_are_kept_and_acknowledged(self, place: HandOverPlace) -> None:
        """What can never become a job is kept beside its channel, and the rest of the batch goes its way."""
        bad, good = await place.deliver(FIRST, FIRST)
        letter = Parcel(bad, letter=DeadLetter(bad, "HostileJsonError", "not JSON"))
        await place.hand_over.hand_over([letter, parcel(good, "valuation")])
        assert (await place.letters(FIRST), await place.letters(SECOND)) == (["not JSON"], [])
        assert (await place.jobs("valuation"), await place.pending()) == ([job_id(good)], 0)

    async def test_handing_over_again_adds_nothing(self, place: HandOverPlace) -> None:
        """A repeat, as after a lost reply, leaves one job and one letter."""
        bad, good = await place.deliver(FIRST, SECOND)
        batch = [Parcel(bad, letter=DeadLetter(bad, "HostileJsonError", "not JSON")), parcel(good, "valuation")]
        await place.hand_over.hand_over(batch)
        await place.hand_over.hand_over(batch)
        assert (await place.letters(FIRST), await place.jobs("valuation")) == (["not JSON"], [job_id(good)])

    async def test_a_large_batch_is_handed_over_whole(self, place: HandOverPlace) -> None:
        """There is no batch too large, and its order is kept."""
        deliveries = await place.deliver(*([FIRST] * 600))
        await place.hand_over.hand_over(parcels(deliveries, "valuation"))
        assert await place.jobs("valuation") == [job_id(delivery) for delivery in deliveries]
        assert await place.pending() == 0

    async def test_closing_twice_does_nothing(self, place: HandOverPlace) -> None:
        """Close is idempotent."""
        await place.hand_over.close()
        await place.hand_over.close()
