"""What a queue is told about jobs."""

import sys
from datetime import timedelta

import pytest

from domainstream.errors import ConfigurationError, MissingExtraError
from domainstream.queue import BullMQQueue, JobSettings


def test_nonsense_is_refused_all_at_once() -> None:
    """Each setting that makes no sense is named."""
    with pytest.raises(ConfigurationError) as raised:
        JobSettings(attempts=0, keep_failed=timedelta(0))
    assert [problem.split()[0] for problem in raised.value.problems] == ["attempts", "keep_failed"]


def test_missing_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra there is a sentence with the command, not a module's name."""
    monkeypatch.setitem(sys.modules, "bullmq.redis_connection", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'domainstream\[bullmq\]'"):
        BullMQQueue.from_url("redis://127.0.0.1")
