"""What a handler can answer, and what is needed for running handlers."""

import sys
from datetime import timedelta

import pytest

from domainstream.errors import ConfigurationError, MissingExtraError
from domainstream.worker import EventConsumer, EventWorker, GiveUp, RetryLater


@pytest.mark.parametrize("delay", [90, 90.0, timedelta(minutes=1, seconds=30)])
def test_delay_is_a_duration_or_seconds(delay: timedelta | float) -> None:
    """Both spellings mean the same."""
    assert RetryLater(delay=delay).delay == timedelta(seconds=90)


def test_delay_into_the_past_is_refused() -> None:
    """A negative delay is a mistake."""
    with pytest.raises(ConfigurationError, match="expected zero or more"):
        RetryLater(-1)


def test_reason_of_giving_up_is_kept() -> None:
    """The reason is there for logs and for the failed job."""
    assert (GiveUp("no such stay").reason, str(GiveUp("no such stay"))) == ("no such stay", "no such stay")


def test_missing_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, handlers can be registered and tested; only running them needs it."""
    monkeypatch.setitem(sys.modules, "bullmq", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'domainstream\[bullmq\]'"):
        EventWorker.from_url("redis://127.0.0.1", EventConsumer("valuation"))


def test_nonsense_is_refused_all_at_once() -> None:
    """Settings of a worker are checked when it is made."""
    with pytest.raises(ConfigurationError) as raised:
        EventWorker.from_url("redis://127.0.0.1", EventConsumer("valuation"), concurrency=0, grace=timedelta())
    assert len(raised.value.problems) == 2
