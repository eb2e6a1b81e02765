"""When a failed job is retried: as bullmq for Node.js computes it."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainstream.queue import JobSettings
from domainstream.queue.bullmq.scripts import packed_options
from domainstream.worker import ReceivedJob
from domainstream.worker.attempt import next_pause

FIXED = {"type": "fixed", "delay": 1000}
EXPONENTIAL = {"type": "exponential", "delay": 1000}


def pause(backoff: Any, attempt: int = 1, attempts: int = 1000) -> float:
    """Return the seconds until the next attempt."""
    seconds = next_pause(ReceivedJob("event-1", "price-stay", attempt, "{}", attempts, backoff))
    assert seconds is not None
    return seconds.total_seconds()


@pytest.mark.parametrize(
    ("backoff", "attempt", "seconds"),
    [
        (None, 1, 0),
        (0, 1, 0),
        (500, 1, 0.5),
        (500, 7, 0.5),
        (FIXED, 1, 1),
        (FIXED, 7, 1),
        (EXPONENTIAL, 1, 1),
        (EXPONENTIAL, 2, 2),
        (EXPONENTIAL, 4, 8),
        ({"type": "fixed", "delay": 1000, "jitter": 0}, 1, 1),
        ({"type": "exponential", "delay": 0.4}, 2, 0.001),
        ({**EXPONENTIAL, "maxDelay": 3_600_000}, 12, 2048),
        ({**EXPONENTIAL, "maxDelay": 3_600_000}, 13, 3600),
        ({**EXPONENTIAL, "maxDelay": 3_600_000}, 43, 3600),
        ({**EXPONENTIAL, "maxDelay": 0}, 4, 8),
        ({**EXPONENTIAL, "maxDelay": "long"}, 4, 8),
    ],
)
def test_pause_is_that_of_bullmq(backoff: Any, attempt: int, seconds: float) -> None:
    """A number means milliseconds; fixed stays the same; exponential doubles from one attempt to the next."""
    assert pause(backoff, attempt) == seconds


@pytest.mark.parametrize(("attempt", "attempts"), [(1, 1), (3, 3), (4, 3), (1, 0)])
def test_last_attempt_has_no_next_one(attempt: int, attempts: int) -> None:
    """A job whose attempts are used up, or that has only one, is not retried."""
    assert next_pause(ReceivedJob("event-1", "price-stay", attempt, "{}", attempts, FIXED)) is None


@pytest.mark.parametrize(("backoff", "longest"), [(FIXED, 1.0), (EXPONENTIAL, 4.0)])
@pytest.mark.parametrize("jitter", [0.25, 0.5, 1])
def test_jitter_shortens_the_pause_by_up_to_its_share(backoff: dict[str, Any], longest: float, jitter: float) -> None:
    """Pauses are spread evenly over the last `jitter` of the delay, so that jobs which failed together drift apart."""
    pauses = [pause({**backoff, "jitter": jitter}, 3) for _ in range(2_000)]
    shortest = longest * (1 - jitter)
    assert shortest - 0.001 <= min(pauses) < shortest + longest * jitter / 10
    assert longest - longest * jitter / 10 < max(pauses) <= longest


def test_default_retries_reach_over_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """With default settings a job is retried for 24 to 32 hours: the pauses double up to 1 h, less 25 % at most.

    1 + 2 + ... + 2048 s before attempts 2 to 13, then 31 hours: 32.1 h, of which jitter leaves at least 24.1 h.
    """
    settings = JobSettings()
    backoff = msgspec.msgpack.decode(packed_options(settings))["backoff"]
    for drawn, hours in ((0.0, 24.1), (0.5, 28.1), (1.0, 32.1)):
        monkeypatch.setattr("random.random", lambda drawn=drawn: drawn)
        pauses = [pause(backoff, attempt, settings.attempts) for attempt in range(1, settings.attempts)]
        assert max(pauses) <= 3600
        assert round(sum(pauses) / 3600, 1) == hours


def test_unknown_kind_is_exponential_from_a_second() -> None:
    """A custom strategy, which only the program that added the job has, is replaced by an exponential one."""
    pauses = [pause({"type": "custom", "delay": 7}, 3) for _ in range(100)]
    assert 2 <= min(pauses) <= max(pauses) <= 4


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.fixed_dictionaries({"type": st.sampled_from(["fixed", "exponential", "x"]), "delay": inner})
            | st.fixed_dictionaries(
                {"type": st.just("exponential"), "delay": inner, "jitter": inner, "maxDelay": inner}
            )
        ),
    ),
    st.integers(1, 10**6),
)
def test_any_options_yield_a_pause(backoff: Any, attempt: int) -> None:
    """A nonsensical backoff, which any program may add to the queue, does not break the worker."""
    seconds = next_pause(ReceivedJob("event-1", "price-stay", attempt, "{}", 10**7, backoff))
    assert seconds is not None
    assert timedelta() <= seconds <= timedelta(days=36_500)
