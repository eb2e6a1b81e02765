"""Which settings a worker accepts."""

from datetime import timedelta

import pytest

from domainstream.errors import ConfigurationError
from domainstream.worker.settings import RateLimit, WorkerSettings


def test_every_problem_is_reported_at_once() -> None:
    """Invalid settings raise one error with a problem per field."""
    with pytest.raises(ConfigurationError) as raised:
        WorkerSettings(lock=timedelta(), stalled_interval=timedelta(-1), max_stalled=0, metrics=0, name="a b")
    assert len(raised.value.problems) == 5


@pytest.mark.parametrize("name", ["", "a b", "a\n"])
def test_name_that_a_connection_cannot_have_is_rejected(name: str) -> None:
    """A name that the server would reject is an error before connecting."""
    with pytest.raises(ConfigurationError, match="name is"):
        WorkerSettings(name=name)


def test_rate_limit_of_zero_is_rejected() -> None:
    """A rate limit of zero jobs would stop the worker permanently."""
    with pytest.raises(ConfigurationError, match="jobs is 0"):
        RateLimit(jobs=0)


def test_defaults_are_valid() -> None:
    """The default settings can be constructed, with a lock of 30 seconds."""
    assert WorkerSettings().lock == timedelta(seconds=30)
