"""What every `Forwarder` must do, as tests. Ours pass it; run it over your own.

Subclass `ForwarderContract` in a test file and give it a fixture `place`, a `ForwarderHarness`. Needs the extra
`testing`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest

from domainstream.queue import Forwarder, Job, RoutedEntry
from domainstream.stream import DeadLetter, Delivery

FIRST, SECOND = "first_channel", "second_channel"


class ForwarderHarness(ABC):
    """Streams with one group and one consumer that reads them, and queues."""

    forward: Forwarder
    """What is under test."""

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


def routed_entry(delivery: Delivery, *queues: str) -> RoutedEntry:
    """Return a delivery that becomes a job in each of the queues."""
    return RoutedEntry(
        delivery, tuple(Job(queue, "price-stay", job_id(delivery), b'{"score":1.50}') for queue in queues)
    )


def job_id(delivery: Delivery) -> str:
    """Return the id of the jobs of a delivery."""
    return f"event-{delivery.channel}-{delivery.entry_id}"


def routed_entries(deliveries: Sequence[Delivery], *queues: str) -> list[RoutedEntry]:
    """Return deliveries that become a job in each of the queues."""
    return [routed_entry(delivery, *queues) for delivery in deliveries]


@pytest.mark.asyncio
class ForwarderContract:
    """The behaviour of `Forwarder`; subclasses provide the fixture `place`."""

    async def test_jobs_are_in_their_queues_and_entries_are_acknowledged(self, place: ForwarderHarness) -> None:
        """Each delivery has a job in each queue, in the order of the deliveries, and nothing is left pending."""
        deliveries = await place.deliver(FIRST, FIRST, SECOND)
        await place.forward.forward(routed_entries(deliveries, "valuation", "billing"))
        wanted = [job_id(delivery) for delivery in deliveries]
        assert await place.jobs("valuation") == wanted
        assert await place.jobs("billing") == wanted
        assert await place.pending() == 0

    async def test_what_nobody_listens_to_is_acknowledged(self, place: ForwarderHarness) -> None:
        """A parcel without jobs settles its entry."""
        await place.forward.forward(routed_entries(await place.deliver(FIRST)))
        assert await place.pending() == 0

    async def test_letters_are_kept_and_acknowledged(self, place: ForwarderHarness) -> None:
        """What can never become a job is kept beside its channel, and the rest of the batch goes its way."""
        bad, good = await place.deliver(FIRST, FIRST)
        letter = RoutedEntry(bad, letter=DeadLetter(bad, "HostileJsonError", "not JSON"))
        await place.forward.forward([letter, routed_entry(good, "valuation")])
        assert await place.letters(FIRST) == ["not JSON"]
        assert await place.letters(SECOND) == []
        assert await place.jobs("valuation") == [job_id(good)]
        assert await place.pending() == 0

    async def test_handing_over_again_adds_nothing(self, place: ForwarderHarness) -> None:
        """A repeat, as after a lost reply, leaves one job and one letter."""
        bad, good = await place.deliver(FIRST, SECOND)
        batch = [
            RoutedEntry(bad, letter=DeadLetter(bad, "HostileJsonError", "not JSON")),
            routed_entry(good, "valuation"),
        ]
        await place.forward.forward(batch)
        await place.forward.forward(batch)
        assert await place.letters(FIRST) == ["not JSON"]
        assert await place.jobs("valuation") == [job_id(good)]

    async def test_a_large_batch_is_handed_over_whole(self, place: ForwarderHarness) -> None:
        """There is no batch too large, and its order is kept."""
        deliveries = await place.deliver(*([FIRST] * 600))
        await place.forward.forward(routed_entries(deliveries, "valuation"))
        assert await place.jobs("valuation") == [job_id(delivery) for delivery in deliveries]
        assert await place.pending() == 0

    async def test_closing_twice_does_nothing(self, place: ForwarderHarness) -> None:
        """Close is idempotent."""
        await place.forward.close()
        await place.forward.close()
