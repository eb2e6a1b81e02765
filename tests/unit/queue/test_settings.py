"""What a queue is told about jobs."""

import sys
from datetime import timedelta
from typing import Any

import pytest

from domainstream.errors import ConfigurationError, MissingExtraError
from domainstream.queue import BullMQQueue, JobSettings


def test_nonsense_is_refused_all_at_once() -> None:
    """Each setting that makes no sense is named."""
    with pytest.raises(ConfigurationError) as raised:
        JobSettings(attempts=0, jitter=1.5, delay=timedelta(-1), priority=2**21 + 1, keep_failed=timedelta(0))
    named = [problem.split()[0] for problem in raised.value.problems]
    assert named == ["attempts", "keep_failed", "jitter", "delay", "priority"]


@pytest.mark.parametrize("settings", [{"jitter": 0}, {"jitter": 1}, {"delay": timedelta(0)}, {"priority": 2**21}])
def test_bounds_are_allowed(settings: dict[str, Any]) -> None:
    """No jitter, only jitter, no delay and the last priority make sense."""
    (name,) = settings
    assert getattr(JobSettings(**settings), name) == settings[name]


@pytest.mark.parametrize("settings", [{"priority": 1.5}, {"priority": True}, {"delay": 3}, {"jitter": "half"}])
def test_values_of_another_kind_are_refused(settings: dict[str, Any]) -> None:
    """Numbers and durations are not mixed up."""
    with pytest.raises(ConfigurationError, match="expected"):
        JobSettings(**settings)


def test_missing_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra there is a sentence with the command, not a module's name."""
    monkeypatch.setitem(sys.modules, "bullmq.redis_connection", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'domainstream\[bullmq\]'"):
        BullMQQueue.from_url("redis://127.0.0.1")
