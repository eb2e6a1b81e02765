"""What a reader meets is counted, logged and reported."""

import logging

import pytest

from domainstream.errors import ConfigurationError
from domainstream.stream import Loss, ReaderSettings, ReaderStats
from domainstream.stream.reader.stats import ReaderStatsRecorder

LOSS = Loss("orders", "group", 7, after="1-0", before="9-0")


def test_everything_is_counted() -> None:
    """The counts are a snapshot: they do not change afterwards."""
    recorder = ReaderStatsRecorder("group", None)
    before = recorder.stats
    recorder.read(5)
    recorder.reclaimed("orders", 2)
    recorder.recreated(["orders", "invoices"])
    recorder.lost([LOSS, LOSS])
    assert before == ReaderStats()
    assert recorder.stats == ReaderStats(read=5, reclaimed=2, lost=14, recreated=2)


def test_loss_is_logged_with_all_that_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever repairs it finds channel, group, count and the ids around the gap."""
    ReaderStatsRecorder("group", None).lost([LOSS])
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "stream.loss group=group channel=orders entries=7 after=1-0 before=9-0"


def test_what_a_listener_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Reading goes on, and the other losses are reported."""
    reported: list[Loss] = []

    def listen(loss: Loss) -> None:
        reported.append(loss)
        raise ValueError(loss.channel)

    ReaderStatsRecorder("group", listen).lost([LOSS, LOSS])
    assert reported == [LOSS, LOSS]
    assert "stream.loss_hook_failed group=group channel=orders" in caplog.text
    assert "ValueError" in caplog.text


def test_vanished_groups_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Each is named."""
    ReaderStatsRecorder("group", None).recreated(["orders", "invoices"])
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "stream.group_recreated group=group channel=invoices" in caplog.text


def test_taking_nothing_over_is_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Only entries that were really taken over are logged."""
    with caplog.at_level(logging.INFO):
        ReaderStatsRecorder("group", None).reclaimed("orders", 0)
    assert caplog.records == []


def test_settings_that_make_no_sense_are_refused() -> None:
    """Every limit must be above zero; all mistakes are named at once."""
    with pytest.raises(ConfigurationError) as raised:
        ReaderSettings(max_entries=0, max_bytes=-1)
    assert len(raised.value.problems) == 2
