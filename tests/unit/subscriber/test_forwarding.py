"""Forwarding when the server fails, or rejects some entries."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec
import pytest
from domainstream.subscriber.forwarding import RetryingForwarder, SubscriberStats
from msgspec.structs import replace
from support.consuming import EVALUATED, delivery, evaluated, until

from domainstream.errors import ServerError, ServerOutOfMemoryError, ServerRefusedError, ServerUnavailableError
from domainstream.health import Health
from domainstream.lifecycle import Lifecycle
from domainstream.queue import Job, RoutedEntry
from domainstream.stream import DeadLetter

LIMIT = 3


class FakeForwarder:
    """Takes entries unless a function returns an error for one of them."""

    def __init__(self, error_of: Callable[[RoutedEntry], ServerError | None] = lambda _: None) -> None:
        self.error_of = error_of
        self.taken: list[RoutedEntry] = []
        self.calls = 0

    async def forward(self, entries: Sequence[RoutedEntry]) -> None:
        """Take all of them, or fail."""
        self.calls += 1
        for entry in entries:
            if error := self.error_of(entry):
                raise error
        self.taken += [entry for entry in entries if entry not in self.taken]

    async def close(self) -> None:
        """Do nothing."""


def retrying(fake: FakeForwarder, lifecycle: Lifecycle | None = None) -> RetryingForwarder:
    """Return a retrying forwarder around a fake one."""
    return RetryingForwarder(fake, lifecycle or Lifecycle("Test"), delivery_limit=LIMIT)


def entry_of(entry_id: str, *, deliveries: int = 1) -> RoutedEntry:
    """Return an entry with one job."""
    delivered = replace(delivery(evaluated(), entry_id), deliveries=deliveries)
    return RoutedEntry(delivered, (Job("valuation", "price-stay", f"event-{entry_id}", b"{}"),))


def rejecting(entry_id: str, *, dead_letters: bool = False) -> Callable[[RoutedEntry], ServerError | None]:
    """Return a function that rejects the jobs of one entry, and with `dead_letters` its dead letter too."""

    def error_of(entry: RoutedEntry) -> ServerError | None:
        rejected = entry.delivery.entry_id == entry_id and (dead_letters or not entry.dead_letter)
        return ServerRefusedError("wrong type") if rejected else None

    return error_of


@pytest.mark.parametrize("error", [ServerUnavailableError("away"), ServerOutOfMemoryError("full")])
async def test_failure_is_repeated_until_it_works(error: ServerError) -> None:
    """While the server is away or full, the same entries are forwarded again."""
    errors = [error] * 3
    fake = FakeForwarder(lambda _: errors.pop() if errors else None)
    retrying_forwarder = retrying(fake)
    await retrying_forwarder.deliver([entry_of("1-0"), entry_of("2-0")])
    assert [entry.delivery.entry_id for entry in fake.taken] == ["1-0", "2-0"]
    assert retrying_forwarder.stats.forwarded == 2
    assert retrying_forwarder.stats.jobs == 2
    assert retrying_forwarder.stats.failures == 0
    assert retrying_forwarder.stats.last_error == str(error)


async def test_health_is_bad_while_attempts_fail() -> None:
    """`health` names the latest error until an attempt succeeds; a snapshot of the stats does not change."""
    lifecycle, fake = Lifecycle("Test"), FakeForwarder(lambda _: ServerUnavailableError("away"))
    retrying_forwarder = retrying(fake, lifecycle)
    before = retrying_forwarder.stats
    assert retrying_forwarder.health() == Health(ok=True)
    lifecycle.stop()
    await retrying_forwarder.deliver([entry_of("1-0")])
    assert before == SubscriberStats()
    assert retrying_forwarder.health() == Health(ok=False, problem="away")
    fake.error_of = lambda _: None
    await retrying_forwarder.deliver([entry_of("1-0")])
    assert retrying_forwarder.health() == Health(ok=True)


def test_stats_keep_their_names_in_json() -> None:
    """The health endpoint shows the stats under the documented keys."""
    assert list(msgspec.to_builtins(SubscriberStats())) == [
        *("forwarded", "jobs", "dead_letters", "left_alone", "failures", "last_error")
    ]


async def test_rejected_entry_does_not_hold_up_the_others() -> None:
    """The rest of its batch is forwarded; the rejected entry stays pending, so it is delivered again."""
    fake = FakeForwarder(rejecting("2-0"))
    retrying_forwarder = retrying(fake)
    await retrying_forwarder.deliver([entry_of("1-0"), entry_of("2-0"), entry_of("3-0")])
    assert [entry.delivery.entry_id for entry in fake.taken] == ["1-0", "3-0"]
    assert retrying_forwarder.stats.forwarded == 2
    assert retrying_forwarder.stats.skipped == 1


async def test_entry_that_is_rejected_at_its_last_delivery_becomes_a_dead_letter() -> None:
    """At the delivery limit, the message of the server becomes the reason of the dead letter."""
    fake = FakeForwarder(rejecting("1-0"))
    last = entry_of("1-0", deliveries=LIMIT)
    await retrying(fake).deliver([last])
    dead_letter = DeadLetter(last.delivery, "ServerRefusedError", "wrong type")
    assert fake.taken == [RoutedEntry(last.delivery, dead_letter=dead_letter)]


async def test_rejected_dead_letter_is_skipped() -> None:
    """When the server rejects even the dead letter, the entry stays pending and the others are forwarded."""
    fake = FakeForwarder(rejecting("1-0", dead_letters=True))
    retrying_forwarder = retrying(fake)
    await retrying_forwarder.deliver([entry_of("1-0", deliveries=LIMIT), entry_of("2-0")])
    assert [entry.delivery.entry_id for entry in fake.taken] == ["2-0"]
    assert retrying_forwarder.stats.skipped == 1


async def test_stop_ends_the_retrying() -> None:
    """After a stop, the next failure is the last: what is not forwarded stays pending."""
    lifecycle, fake = Lifecycle("Test"), FakeForwarder(lambda _: ServerUnavailableError("away"))
    delivering = asyncio.create_task(retrying(fake, lifecycle).deliver([entry_of("1-0")]))
    await until(lambda: fake.calls > 1)
    lifecycle.stop()
    async with asyncio.timeout(0.5):
        await delivering
    assert fake.taken == []


async def test_dead_letter_is_logged_without_its_data(caplog: pytest.LogCaptureFixture) -> None:
    """One log line names channel, entry and cause."""
    delivered = replace(delivery(evaluated(), "1-0"), data=b"a secret")
    dead_letter = DeadLetter(delivered, "HostileJsonError", "not JSON")
    with caplog.at_level(logging.WARNING, "domainstream.subscriber"):
        await retrying(FakeForwarder()).deliver([RoutedEntry(delivered, dead_letter=dead_letter)])
    (record,) = caplog.records
    expected = f"subscriber.dead_letter channel={EVALUATED.value} entry=1-0 error=HostileJsonError reason=not JSON"
    assert record.message == expected
