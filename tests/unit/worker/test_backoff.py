"""When a failed job comes again: as Node's bullmq computes it."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainstream.worker import ReceivedJob
from domainstream.worker.backoff import next_pause

FIXED = {"type": "fixed", "delay": 1000}
EXPONENTIAL = {"type": "exponential", "delay": 1000}


def pause(backoff: Any, attempt: int = 1, attempts: int = 1000) -> float:
    """Return the seconds until the next attempt."""
    found = next_pause(ReceivedJob("event-1", "price-stay", attempt, "{}", attempts, backoff))
    assert found is not None
    return found.total_seconds()


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
    ],
)
def test_pause_is_that_of_bullmq(backoff: Any, attempt: int, seconds: float) -> None:
    """A number is milliseconds; fixed stays as it is; exponential doubles from one attempt to the next."""
    assert pause(backoff, attempt) == seconds


@pytest.mark.parametrize(("attempt", "attempts"), [(1, 1), (3, 3), (4, 3), (1, 0)])
def test_last_attempt_has_no_next_one(attempt: int, attempts: int) -> None:
    """A job without `attempts` is tried once."""
    assert next_pause(ReceivedJob("event-1", "price-stay", attempt, "{}", attempts, FIXED)) is None


@pytest.mark.parametrize(("backoff", "longest"), [(FIXED, 1.0), (EXPONENTIAL, 4.0)])
@pytest.mark.parametrize("jitter", [0.25, 0.5, 1])
def test_jitter_shortens_the_pause_by_up_to_its_share(backoff: dict[str, Any], longest: float, jitter: float) -> None:
    """Pauses lie evenly between `1 - jitter` and all of it, so that jobs which failed together come apart."""
    pauses = [pause({**backoff, "jitter": jitter}, 3) for _ in range(2_000)]
    shortest = longest * (1 - jitter)
    assert shortest - 0.001 <= min(pauses) < shortest + longest * jitter / 10
    assert longest - longest * jitter / 10 < max(pauses) <= longest


def test_unknown_kind_is_exponential_from_a_second() -> None:
    """Custom strategies are code of the program that added the job; ours must still space out."""
    pauses = [pause({"type": "custom", "delay": 7}, 3) for _ in range(100)]
    assert 2 <= min(pauses) <= max(pauses) <= 4


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.fixed_dictionaries({"type": st.sampled_from(["fixed", "exponential", "x"]), "delay": inner})
            | st.fixed_dictionaries({"type": st.just("exponential"), "delay": inner, "jitter": inner})
        ),
    ),
    st.integers(1, 10**6),
)
def test_whatever_the_options_say_a_pause_comes_out(backoff: Any, attempt: int) -> None:
    """Anybody may add jobs to the queue; a nonsensical backoff must not break the worker."""
    found = next_pause(ReceivedJob("event-1", "price-stay", attempt, "{}", 10**7, backoff))
    assert found is not None
    assert timedelta() <= found <= timedelta(days=36_500)
