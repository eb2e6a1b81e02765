"""Pauses between attempts."""

from datetime import timedelta

from domainstream.retrying import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    """Each pause lies between half of its longest and all of it; the longest doubles until it may not."""
    backoff = Backoff(timedelta(seconds=1), timedelta(seconds=3))
    pauses = [backoff.next() for _ in range(4)]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, (1, 2, 3, 3), strict=True))


def test_reset_begins_anew() -> None:
    """After a success the next pause is a short one again."""
    backoff = Backoff(timedelta(seconds=1), timedelta(seconds=60))
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1
