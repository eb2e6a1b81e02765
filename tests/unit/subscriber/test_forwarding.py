"""Handing over in the face of failures and refusals."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace
from support.consuming import EVALUATED, delivery, evaluated, until

from domainstream.errors import ServerError, ServerOutOfMemoryError, ServerRefusedError, ServerUnavailableError
from domainstream.lifecycle import Lifecycle
from domainstream.queue import Job, RoutedEntry
from domainstream.stream import DeadLetter
from domainstream.subscriber.forwarding import RetryingForwarder

LIMIT = 3


class Counter:
    """A hand-over that takes parcels unless a function has an error for them."""

    def __init__(self, error_of: Callable[[RoutedEntry], ServerError | None] = lambda _: None) -> None:
        self.error_of = error_of
        self.taken: list[RoutedEntry] = []
        self.calls = 0

    async def forward(self, routed_entries: Sequence[RoutedEntry]) -> None:
        """Take all of them, or fail."""
        self.calls += 1
        for routed_entry in routed_entries:
            if error := self.error_of(routed_entry):
                raise error
        self.taken += [routed_entry for routed_entry in routed_entries if routed_entry not in self.taken]

    async def close(self) -> None:
        """Do nothing."""


def courier_of(counter: Counter, lifecycle: Lifecycle | None = None) -> RetryingForwarder:
    """Return a courier to this counter."""
    return RetryingForwarder(counter, lifecycle or Lifecycle("Test"), delivery_limit=LIMIT)


def routed_entry(entry_id: str, *, deliveries: int = 1) -> RoutedEntry:
    """Return a parcel with one job."""
    delivered = replace(delivery(evaluated(), entry_id), deliveries=deliveries)
    return RoutedEntry(delivered, (Job("valuation", "price-stay", f"event-{entry_id}", b"{}"),))


def refusing(entry_id: str, *, letters: bool = False) -> Callable[[RoutedEntry], ServerError | None]:
    """Return a function that refuses one entry's jobs, and with `letters` its dead letter too."""

    def error_of(found: RoutedEntry) -> ServerError | None:
        refused = found.delivery.entry_id == entry_id and (letters or not found.letter)
        return ServerRefusedError("wrong type") if refused else None

    return error_of


@pytest.mark.parametrize("error", [ServerUnavailableError("away"), ServerOutOfMemoryError("full")])
async def test_failure_is_repeated_until_it_works(error: ServerError) -> None:
    """While the server is away, or full, the same parcels are handed over again."""
    errors = [error] * 3
    counter = Counter(lambda _: errors.pop() if errors else None)
    retrying_forwarder = courier_of(counter)
    await retrying_forwarder.deliver([routed_entry("1-0"), routed_entry("2-0")])
    assert [found.delivery.entry_id for found in counter.taken] == ["1-0", "2-0"]
    assert retrying_forwarder.health.forwarded == 2
    assert retrying_forwarder.health.jobs == 2
    assert retrying_forwarder.health.failures == 0
    assert retrying_forwarder.health.last_error == str(error)


async def test_refused_parcel_does_not_hold_up_the_others() -> None:
    """The rest of its batch is handed over; the refused one is left alone, and so comes again."""
    counter = Counter(refusing("2-0"))
    retrying_forwarder = courier_of(counter)
    await retrying_forwarder.deliver([routed_entry("1-0"), routed_entry("2-0"), routed_entry("3-0")])
    assert [found.delivery.entry_id for found in counter.taken] == ["1-0", "3-0"]
    assert retrying_forwarder.health.forwarded == 2
    assert retrying_forwarder.health.left_alone == 1


async def test_parcel_that_is_refused_at_its_last_delivery_becomes_a_dead_letter() -> None:
    """At the delivery limit the server's own words become the letter's."""
    counter = Counter(refusing("1-0"))
    last = routed_entry("1-0", deliveries=LIMIT)
    await courier_of(counter).deliver([last])
    letter = DeadLetter(last.delivery, "ServerRefusedError", "wrong type")
    assert counter.taken == [RoutedEntry(last.delivery, letter=letter)]


async def test_refused_letter_is_left_alone() -> None:
    """When not even the dead letter is taken, the entry stays pending and the courier goes on."""
    counter = Counter(refusing("1-0", letters=True))
    retrying_forwarder = courier_of(counter)
    await retrying_forwarder.deliver([routed_entry("1-0", deliveries=LIMIT), routed_entry("2-0")])
    assert [found.delivery.entry_id for found in counter.taken] == ["2-0"]
    assert retrying_forwarder.health.left_alone == 1


async def test_stop_ends_the_repeating() -> None:
    """Once stopped, the next failure is the last: what is not handed over stays pending."""
    lifecycle, counter = Lifecycle("Test"), Counter(lambda _: ServerUnavailableError("away"))
    delivering = asyncio.create_task(courier_of(counter, lifecycle).deliver([routed_entry("1-0")]))
    await until(lambda: counter.calls > 1)
    lifecycle.stop()
    async with asyncio.timeout(0.5):
        await delivering
    assert counter.taken == []


async def test_dead_letter_is_logged_without_its_data(caplog: pytest.LogCaptureFixture) -> None:
    """One line tells channel, entry and cause."""
    delivered = replace(delivery(evaluated(), "1-0"), data=b"a secret")
    letter = DeadLetter(delivered, "HostileJsonError", "not JSON")
    with caplog.at_level(logging.WARNING, "domainstream.subscriber"):
        await courier_of(Counter()).deliver([RoutedEntry(delivered, letter=letter)])
    (record,) = caplog.records
    expected = f"subscriber.dead_letter channel={EVALUATED.value} entry=1-0 error=HostileJsonError reason=not JSON"
    assert record.message == expected
