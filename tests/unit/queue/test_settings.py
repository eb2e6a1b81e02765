"""How jobs are tried, delayed and kept."""

import sys
from datetime import timedelta
from typing import Any

import pytest

from domainstream.errors import ConfigurationError, MissingExtraError
from domainstream.queue import BullMQQueue, JobSettings


def test_invalid_settings_are_reported_all_at_once() -> None:
    """One error names each invalid setting."""
    with pytest.raises(ConfigurationError) as raised:
        JobSettings(attempts=0, jitter=1.5, delay=timedelta(-1), priority=2**21 + 1, keep_failed=timedelta(0))
    named = [problem.split()[0] for problem in raised.value.problems]
    assert named == ["attempts", "keep_failed", "jitter", "delay", "priority"]


def test_longest_pause_is_not_shorter_than_the_first() -> None:
    """A first pause that the longest one would cut silently is rejected."""
    with pytest.raises(ConfigurationError, match=r"backoff \(2:00:00\) is longer than max_backoff \(1:00:00\)"):
        JobSettings(backoff=timedelta(hours=2))


@pytest.mark.parametrize("settings", [{"jitter": 0}, {"jitter": 1}, {"delay": timedelta(0)}, {"priority": 2**21}])
def test_bounds_are_allowed(settings: dict[str, Any]) -> None:
    """No jitter, only jitter, no delay and the last priority are valid."""
    (name,) = settings
    assert getattr(JobSettings(**settings), name) == settings[name]


@pytest.mark.parametrize("settings", [{"priority": 1.5}, {"priority": True}, {"delay": 3}, {"jitter": "half"}])
def test_values_of_another_type_are_rejected(settings: dict[str, Any]) -> None:
    """Numbers and durations are not interchangeable."""
    with pytest.raises(ConfigurationError, match="expected"):
        JobSettings(**settings)


def test_missing_package_is_reported_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error names the command that installs it, not a module."""
    monkeypatch.setitem(sys.modules, "bullmq.redis_connection", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'domainstream\[bullmq\]'"):
        BullMQQueue.from_url("redis://127.0.0.1")
