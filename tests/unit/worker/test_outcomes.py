"""What a handler can answer, and what is needed for running handlers."""

import sys
from datetime import timedelta

import pytest

from domainstream.errors import ConfigurationError, MissingExtraError
from domainstream.worker import EventConsumer, EventWorker, GiveUp, RetryLater
from domainstream.worker.bullmq.scripts import bullmq_script, round_trip_script


@pytest.mark.parametrize("delay", [90, 90.0, timedelta(minutes=1, seconds=30)])
def test_delay_is_a_duration_or_seconds(delay: timedelta | float) -> None:
    """Both spellings mean the same."""
    assert RetryLater(delay=delay).delay == timedelta(seconds=90)


@pytest.mark.parametrize("delay", [-1, timedelta(days=-1), 1e300, timedelta.max])
def test_delay_into_the_past_or_beyond_all_calendars_is_refused(delay: timedelta | float) -> None:
    """A negative or endless delay is a mistake."""
    with pytest.raises(ConfigurationError, match="expected zero or more"):
        RetryLater(delay)


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), "30", None])
def test_delay_that_is_no_duration_is_refused(delay: float) -> None:
    """What is no number of seconds is told with what to type."""
    with pytest.raises(ConfigurationError, match=r"type: RetryLater\(delay=30\)"):
        RetryLater(delay)


def test_reason_of_giving_up_is_kept() -> None:
    """The reason is there for logs and for the failed job."""
    assert GiveUp("no such stay").reason == "no such stay"
    assert str(GiveUp("no such stay")) == "no such stay"


def test_blank_reason_is_replaced() -> None:
    """A job that was given up always says something; an error here would try it again."""
    assert GiveUp(" ").reason == "the handler gave up without a reason"


def test_missing_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, handlers can be registered and tested; only running them needs it."""
    for module in ("bullmq", *(name for name in sys.modules if name.startswith("bullmq."))):
        monkeypatch.setitem(sys.modules, module, None)
    for read_once in (bullmq_script, round_trip_script):
        read_once.cache_clear()
    with pytest.raises(MissingExtraError, match=r"^Handling jobs of .* pip install 'domainstream\[bullmq\]'$"):
        EventWorker.from_url("redis://127.0.0.1", EventConsumer("valuation"))


def test_nonsense_is_refused_all_at_once() -> None:
    """Settings of a worker are checked when it is made."""
    with pytest.raises(ConfigurationError) as raised:
        EventWorker.from_url("redis://127.0.0.1", EventConsumer("valuation"), concurrency=0, grace=timedelta())
    assert len(raised.value.problems) == 2
