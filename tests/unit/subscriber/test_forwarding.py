"""Handing over in the face of failures and refusals."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace
from support.consuming import EVALUATED, delivery, evaluated, until

from domainstream.errors import ServerError, ServerOutOfMemoryError, ServerRefusedError, ServerUnavailableError
from domainstream.lifecycle import Lifecycle
from domainstream.queue import Job, Parcel
from domainstream.stream import DeadLetter
from domainstream.subscriber.forwarding import Courier

LIMIT = 3


class Counter:
    """A hand-over that takes parcels unless a function has an error for them."""

    def __init__(self, error_of: Callable[[Parcel], ServerError | None] = lambda _: None) -> None:
        self.error_of = error_of
        self.taken: list[Parcel] = []
        self.calls = 0

    async def hand_over(self, parcels: Sequence[Parcel]) -> None:
        """Take all of them, or fail."""
        self.calls += 1
        for parcel in parcels:
            if error := self.error_of(parcel):
                raise error
        self.taken += [parcel for parcel in parcels if parcel not in self.taken]

    async def close(self) -> None:
        """Do nothing."""


def courier_of(counter: Counter, lifecycle: Lifecycle | None = None) -> Courier:
    """Return a courier to this counter."""
    return Courier(counter, lifecycle or Lifecycle("Test"), delivery_limit=LIMIT)


def parcel(entry_id: str, *, deliveries: int = 1) -> Parcel:
    """Return a parcel with one job."""
    delivered = replace(delivery(evaluated(), entry_id), deliveries=deliveries)
    return Parcel(delivered, (Job("valuation", "price-stay", f"event-{entry_id}", b"{}"),))


def refusing(entry_id: str, *, letters: bool = False) -> Callable[[Parcel], ServerError | None]:
    """Return a function that refuses one entry's jobs, and with `letters` its dead letter too."""

    def error_of(found: Parcel) -> ServerError | None:
        refused = found.delivery.entry_id == entry_id and (letters or not found.letter)
        return ServerRefusedError("wrong type") if refused else None

    return error_of


@pytest.mark.parametrize("error", [ServerUnavailableError("away"), ServerOutOfMemoryError("full")])
async def test_failure_is_repeated_until_it_works(error: ServerError) -> None:
    """While the server is away, or full, the same parcels are handed over again."""
    errors = [error] * 3
    counter = Counter(lambda _: errors.pop() if errors else None)
    courier = courier_of(counter)
    await courier.deliver([parcel("1-0"), parcel("2-0")])
    assert [found.delivery.entry_id for found in counter.taken] == ["1-0", "2-0"]
    assert (courier.health.handed_over, courier.health.jobs, courier.health.failures) == (2, 2, 0)
    assert courier.health.last_error == str(error)


async def test_refused_parcel_does_not_hold_up_the_others() -> None:
    """The rest of its batch is handed over; the refused one is left alone, and so comes again."""
    counter = Counter(refusing("2-0"))
    courier = courier_of(counter)
    await courier.deliver([parcel("1-0"), parcel("2-0"), parcel("3-0")])
    assert [found.delivery.entry_id for found in counter.taken] == ["1-0", "3-0"]
    assert (courier.health.handed_over, courier.health.left_alone) == (2, 1)


async def test_parcel_that_is_refused_at_its_last_delivery_becomes_a_dead_letter() -> None:
    """At the delivery limit the server's own words become the letter's."""
    counter = Counter(refusing("1-0"))
    last = parcel("1-0", deliveries=LIMIT)
    await courier_of(counter).deliver([last])
    letter = DeadLetter(last.delivery, "ServerRefusedError", "wrong type")
    assert counter.taken == [Parcel(last.delivery, letter=letter)]


async def test_refused_letter_is_left_alone() -> None:
    """When not even the dead letter is taken, the entry stays pending and the courier goes on."""
    counter = Counter(refusing("1-0", letters=True))
    courier = courier_of(counter)
    await courier.deliver([parcel("1-0", deliveries=LIMIT), parcel("2-0")])
    assert [found.delivery.entry_id for found in counter.taken] == ["2-0"]
    assert courier.health.left_alone == 1


async def test_stop_ends_the_repeating() -> None:
    """Once stopped, the next failure is the last: what is not handed over stays pending."""
    lifecycle, counter = Lifecycle("Test"), Counter(lambda _: ServerUnavailableError("away"))
    delivering = asyncio.create_task(courier_of(counter, lifecycle).deliver([parcel("1-0")]))
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
        await courier_of(Counter()).deliver([Parcel(delivered, letter=letter)])
    (record,) = caplog.records
    expected = f"subscriber.dead_letter channel={EVALUATED.value} entry=1-0 error=HostileJsonError reason=not JSON"
    assert record.message == expected
