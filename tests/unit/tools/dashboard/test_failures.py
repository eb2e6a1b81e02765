"""When failed jobs failed, as the page of failures draws it."""

from domainstream.tools.dashboard.failures import PARTS, trend_of


def test_moments_are_counted_by_part() -> None:
    """The first moment is in the first part, and the last one in the last."""
    counts = trend_of([0, 1, 50, 2400], 0, 2400)
    assert (counts[0], counts[-1], sum(counts)) == (3, 1, 4)
    assert len(counts) == PARTS


def test_moments_outside_are_not_lost() -> None:
    """Clocks of workers differ from the server's: what is too early or too late counts to the part beside it."""
    counts = trend_of([-5, 9_999], 0, 2400)
    assert (counts[0], counts[-1]) == (1, 1)


def test_all_at_once_is_one_bar() -> None:
    """A time without a length does not divide by zero."""
    assert sum(trend_of([7, 7, 7], 7, 7)) == 3
