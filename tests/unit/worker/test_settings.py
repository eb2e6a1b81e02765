"""What a worker may be told."""

from datetime import timedelta

import pytest

from domainstream.errors import ConfigurationError
from domainstream.worker.settings import RateLimit, WorkerSettings


def test_every_problem_is_told_at_once() -> None:
    """With the field and what was expected."""
    with pytest.raises(ConfigurationError) as raised:
        WorkerSettings(lock=timedelta(), stalled_interval=timedelta(-1), max_stalled=0, metrics=0, name="a b")
    assert len(raised.value.problems) == 5


@pytest.mark.parametrize("name", ["", "a b", "a\n"])
def test_a_name_that_no_connection_can_have(name: str) -> None:
    """It is refused before the server does."""
    with pytest.raises(ConfigurationError, match="name is"):
        WorkerSettings(name=name)


def test_a_limit_of_nothing() -> None:
    """It would stop the worker for good."""
    with pytest.raises(ConfigurationError, match="jobs is 0"):
        RateLimit(jobs=0)


def test_defaults() -> None:
    """They make sense."""
    assert WorkerSettings().lock == timedelta(seconds=30)
