"""The contract suite of `Forwarder`. Ours pass it; run it on your own.

Subclass `ForwarderContract` in a test file and give it a fixture `harness`, a `ForwarderHarness`. Needs the extra
`testing`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest

from domainstream.queue import Forwarder, Job, RoutedEntry
from domainstream.stream import DeadLetter, Delivery

FIRST, SECOND = "first_channel", "second_channel"


class ForwarderHarness(ABC):
    """Two streams that one consumer of one group reads, and queues."""

    forwarder: Forwarder
    """The forwarder under test."""

    @abstractmethod
    async def deliver(self, *channels: str) -> list[Delivery]:
        """Add an entry to each of the channels, in this order, and return them as delivered to the consumer."""

    @abstractmethod
    async def pending(self) -> int:
        """Return how many entries of both channels are pending."""

    @abstractmethod
    async def jobs(self, queue: str) -> list[str]:
        """Return the ids of the jobs that wait in a queue, oldest first."""

    @abstractmethod
    async def dead_letters(self, channel: str) -> list[str]:
        """Return the reasons of a channel's dead letters, oldest first."""


def entry_of(delivery: Delivery, *queues: str) -> RoutedEntry:
    """Return a delivery that becomes a job in each of the queues."""
    return RoutedEntry(
        delivery, tuple(Job(queue, "price-stay", job_id(delivery), b'{"score":1.50}') for queue in queues)
    )


def job_id(delivery: Delivery) -> str:
    """Return the id of the jobs of a delivery."""
    return f"event-{delivery.channel}-{delivery.entry_id}"


def entries_of(deliveries: Sequence[Delivery], *queues: str) -> list[RoutedEntry]:
    """Return deliveries that become a job in each of the queues."""
    return [entry_of(delivery, *queues) for delivery in deliveries]


@pytest.mark.asyncio
class ForwarderContract:
    """The behaviour of `Forwarder`; subclasses provide the fixture `harness`."""

    async def test_jobs_are_in_their_queues_and_entries_are_acknowledged(self, harness: ForwarderHarness) -> None:
        """Each delivery has a job in each queue, in the order of the deliveries, and nothing is left pending."""
        deliveries = await harness.deliver(FIRST, FIRST, SECOND)
        await harness.forwarder.forward(entries_of(deliveries, "valuation", "billing"))
        wanted = [job_id(delivery) for delivery in deliveries]
        assert await harness.jobs("valuation") == wanted
        assert await harness.jobs("billing") == wanted
        assert await harness.pending() == 0

    async def test_entries_without_jobs_are_acknowledged(self, harness: ForwarderHarness) -> None:
        """An entry that becomes no jobs is acknowledged."""
        await harness.forwarder.forward(entries_of(await harness.deliver(FIRST)))
        assert await harness.pending() == 0

    async def test_dead_letters_are_stored_and_acknowledged(self, harness: ForwarderHarness) -> None:
        """An undecodable entry is stored as a dead letter of its channel; the rest of the batch is forwarded."""
        bad, good = await harness.deliver(FIRST, FIRST)
        dead = RoutedEntry(bad, dead_letter=DeadLetter(bad, "HostileJsonError", "not JSON"))
        await harness.forwarder.forward([dead, entry_of(good, "valuation")])
        assert await harness.dead_letters(FIRST) == ["not JSON"]
        assert await harness.dead_letters(SECOND) == []
        assert await harness.jobs("valuation") == [job_id(good)]
        assert await harness.pending() == 0

    async def test_forwarding_again_adds_nothing(self, harness: ForwarderHarness) -> None:
        """A repeat, as after a lost reply, leaves one job and one dead letter."""
        bad, good = await harness.deliver(FIRST, SECOND)
        batch = [
            RoutedEntry(bad, dead_letter=DeadLetter(bad, "HostileJsonError", "not JSON")),
            entry_of(good, "valuation"),
        ]
        await harness.forwarder.forward(batch)
        await harness.forwarder.forward(batch)
        assert await harness.dead_letters(FIRST) == ["not JSON"]
        assert await harness.jobs("valuation") == [job_id(good)]

    async def test_large_batch_is_forwarded_whole(self, harness: ForwarderHarness) -> None:
        """A batch of any size is forwarded, and its order is kept."""
        deliveries = await harness.deliver(*([FIRST] * 600))
        await harness.forwarder.forward(entries_of(deliveries, "valuation"))
        assert await harness.jobs("valuation") == [job_id(delivery) for delivery in deliveries]
        assert await harness.pending() == 0

    async def test_closing_twice_does_nothing(self, harness: ForwarderHarness) -> None:
        """A second `close` does nothing."""
        await harness.forwarder.close()
        await harness.forwarder.close()
