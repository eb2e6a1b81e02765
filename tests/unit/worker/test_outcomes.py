"""The outcomes of a handler, and what is needed for running handlers."""

import sys
from datetime import timedelta

import pytest

from domainstream.errors import ConfigurationError, MissingExtraError
from domainstream.worker import EventConsumer, EventWorker, GiveUp, RetryLater
from domainstream.worker.bullmq.scripts import bullmq_script, round_trip_script


@pytest.mark.parametrize("delay", [90, 90.0, timedelta(minutes=1, seconds=30)])
def test_delay_is_a_duration_or_seconds(delay: timedelta | float) -> None:
    """A delay may be a timedelta or a number of seconds."""
    assert RetryLater(delay=delay).delay == timedelta(seconds=90)


@pytest.mark.parametrize("delay", [-1, timedelta(days=-1), 1e300, timedelta.max])
def test_delay_into_the_past_or_beyond_all_calendars_is_rejected(delay: timedelta | float) -> None:
    """A negative delay and one that no date can hold are errors."""
    with pytest.raises(ConfigurationError, match="expected zero or more"):
        RetryLater(delay)


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), "30", None])
def test_delay_that_is_not_a_duration_is_rejected(delay: float) -> None:
    """The error for a delay that is not a finite number shows a valid one."""
    with pytest.raises(ConfigurationError, match=r"use RetryLater\(delay=30\)"):
        RetryLater(delay)


def test_reason_of_giving_up_is_kept() -> None:
    """The reason of `GiveUp` is kept, and is its message."""
    assert GiveUp("no such stay").reason == "no such stay"
    assert str(GiveUp("no such stay")) == "no such stay"


def test_blank_reason_is_replaced() -> None:
    """A blank reason is replaced: an error here would retry the job."""
    assert GiveUp(" ").reason == "the handler gave up without a reason"


def test_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra `bullmq` handlers can be registered and tested; running them raises an error."""
    for module in ("bullmq", *(name for name in sys.modules if name.startswith("bullmq."))):
        monkeypatch.setitem(sys.modules, module, None)
    for read_once in (bullmq_script, round_trip_script):
        read_once.cache_clear()
    with pytest.raises(MissingExtraError, match=r"^Handling jobs of .* pip install 'domainstream\[bullmq\]'$"):
        EventWorker.from_url("redis://127.0.0.1", EventConsumer("valuation"))


def test_all_invalid_settings_are_reported_at_once() -> None:
    """A worker reports every invalid setting when it is made."""
    with pytest.raises(ConfigurationError) as raised:
        EventWorker.from_url("redis://127.0.0.1", EventConsumer("valuation"), concurrency=0, grace=timedelta())
    assert len(raised.value.problems) == 2
