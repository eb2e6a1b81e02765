"""What a subscriber counts and reports."""

import logging

import msgspec
import pytest
from msgspec.structs import replace
from support.consuming import EVALUATED, GROUP, delivery, evaluated

from domainstream.errors import ServerUnavailableError
from domainstream.health import Health
from domainstream.queue import Job, Refusal, RoutedEntry
from domainstream.retrying import Backoff
from domainstream.stream import DeadLetter
from domainstream.subscriber import SubscriberStats
from domainstream.subscriber.progress import Progress

AWAY = ServerUnavailableError("away")


def entry_of(entry_id: str) -> RoutedEntry:
    """Return an entry with one job."""
    return RoutedEntry(delivery(evaluated(), entry_id), (Job("valuation", "price-stay", entry_id, b"{}"),))


def test_stats_keep_their_names_in_json() -> None:
    """The health endpoint shows the stats under the documented keys."""
    assert list(msgspec.to_builtins(SubscriberStats())) == [
        *("forwarded", "jobs", "dead_letters", "left_alone", "held", "lost", "failures", "last_error")
    ]


def test_what_is_handed_over_is_counted() -> None:
    """Dead letters count as forwarded but make no jobs; what was refused counts only as such."""
    progress, entries = Progress(GROUP), [entry_of(f"{number}-0") for number in range(1, 5)]
    dead = DeadLetter(entries[0].delivery, "ServerRefusedError", "WRONGTYPE")
    progress.refused(entries[1].delivery, Refusal("2-0", "valuation", "WRONGTYPE"))
    progress.handed_over(entries, {"1-0": dead}, {"2-0"})
    assert progress.stats == SubscriberStats(forwarded=3, jobs=2, dead_letters=1, skipped=1, last_error="WRONGTYPE")


def test_it_is_well_when_every_channel_is() -> None:
    """One that has failed makes the subscriber unhealthy until its own next success."""
    progress = Progress(GROUP)
    progress.failed("first", AWAY, Backoff())
    progress.succeeded("second")
    assert progress.health() == Health(ok=False, problem="away")
    assert progress.stats.failures == 1
    progress.succeeded("first")
    assert progress.health() == Health(ok=True)
    assert progress.stats.failures == 0


def test_one_server_that_is_away_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    """It fails every channel, for one reason; another reason is reported at once."""
    progress = Progress(GROUP)
    for channel in ("first", "second", "third"):
        progress.failed(channel, AWAY, Backoff())
    progress.failed("first", ServerUnavailableError("something else"), Backoff())
    assert [record.message.split("reason=")[1] for record in caplog.records] == [
        "ServerUnavailableError: away",
        "ServerUnavailableError: something else",
    ]


def test_pauses_grow() -> None:
    """The pause that is returned is the backoff's."""
    progress, backoff = Progress(GROUP), Backoff()
    first, *_, last = [progress.failed("first", AWAY, backoff) for _ in range(6)]
    assert first < last


def test_dead_letter_is_logged_without_its_data(caplog: pytest.LogCaptureFixture) -> None:
    """One log line names channel, entry and cause."""
    delivered = replace(delivery(evaluated(), "1-0"), data=b"a secret")
    dead_letter = DeadLetter(delivered, "HostileJsonError", "not JSON")
    with caplog.at_level(logging.WARNING, "domainstream.subscriber"):
        Progress(GROUP).handed_over([RoutedEntry(delivered, dead_letter=dead_letter)], {"1-0": dead_letter}, set())
    (record,) = caplog.records
    expected = f"subscriber.dead_letter channel={EVALUATED.value} entry=1-0 error=HostileJsonError reason=not JSON"
    assert record.message == expected
