"""When a group would lose entries, by the limits of the publishers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domainstream.publisher import Retention
from domainstream.stream import GroupState
from domainstream.tools.retention import lost_in_ms, used_share

DAY = Retention(max_unread_age=timedelta(days=1))
THOUSAND = Retention(max_length=1_000)


def group(*, lag: int = 400, oldest_ms: int | None = 60_000) -> GroupState:
    """Return a group that has so much to settle."""
    return GroupState(
        channel="domain_a",
        group="billing",
        consumers=1,
        unread=lag,
        pending=0,
        lag=lag,
        lost=0,
        oldest_ms=oldest_ms,
        last_delivered_id="1-0",
    )


def test_nothing_unread_is_lost_by_default() -> None:
    """Without a limit for what is unread nothing is removed before it is read."""
    assert lost_in_ms(group(), Retention(), 1_000.0) is None


def test_group_that_has_settled_everything_loses_nothing() -> None:
    """Whoever is behind by nothing has nothing to lose."""
    assert lost_in_ms(group(lag=0, oldest_ms=None), replace(DAY, max_length=1), 1_000.0) is None


def test_oldest_entry_is_lost_when_it_is_too_old() -> None:
    """An age limit leaves what is missing of the oldest entry's age, at whatever rate."""
    assert lost_in_ms(group(oldest_ms=86_000_000), DAY, None) == 400_000


def test_oldest_entry_is_lost_when_the_stream_is_full() -> None:
    """A length limit leaves the time in which the rest is added."""
    assert lost_in_ms(group(lag=400), THOUSAND, 10.0) == 60_000


def test_limit_that_is_reached_first_counts() -> None:
    """Of both limits the nearer one counts."""
    both = replace(DAY, max_length=1_000)
    assert lost_in_ms(group(oldest_ms=86_390_000), both, 10.0) == 10_000


@pytest.mark.parametrize("rate", [0.0, None])
def test_stream_that_does_not_grow_never_becomes_full(rate: float | None) -> None:
    """Where nothing is added, or nobody knows how much, the length says nothing."""
    assert lost_in_ms(group(), THOUSAND, rate) is None


@pytest.mark.parametrize("limits", [DAY, THOUSAND])
def test_what_is_beyond_a_limit_may_go_at_any_moment(limits: Retention) -> None:
    """Trimming is by whole nodes, so that entries outlive their limit a little."""
    assert lost_in_ms(group(lag=1_001, oldest_ms=90_000_000), limits, 0.0) == 0


def test_age_of_unread_entries_has_no_effect_without_one_of_read_entries() -> None:
    """Publishers that remove nothing by its age remove nothing unread by it either."""
    assert lost_in_ms(group(oldest_ms=90_000_000), replace(DAY, max_age=None), None) is None


@pytest.mark.parametrize(
    ("limits", "share"),
    [
        (Retention(), 0),
        (DAY, 0.5),
        (THOUSAND, 0.4),
        (replace(DAY, max_length=1_000), 0.5),
        (replace(DAY, max_age=None), 0),
    ],
)
def test_share_is_that_of_the_nearest_limit(limits: Retention, share: float) -> None:
    """How much a group has used is measured by the limit that it has used most of."""
    assert used_share(group(lag=400, oldest_ms=43_200_000), limits) == share
