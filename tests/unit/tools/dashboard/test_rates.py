"""Rates of streams, from looks at how many entries were ever added."""

from domainstream.tools.dashboard.rates import LONGEST, SHORTEST, Rates


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_second_look_makes_a_rate() -> None:
    """One look says nothing; two that are far enough apart do."""
    rates = Rates(clock := Clock())
    assert rates.note("a", 10) is None
    clock.now += SHORTEST
    assert rates.note("a", 30) == 20 / SHORTEST


def test_looks_close_together_keep_the_rate() -> None:
    """Many viewers who look at once do not make the rate jump."""
    rates = Rates(clock := Clock())
    rates.note("a", 0)
    clock.now += SHORTEST
    rates.note("a", 20)
    clock.now += 0.01
    assert rates.note("a", 21) == 20 / SHORTEST


def test_old_look_says_nothing_about_now() -> None:
    """After a pause without viewers, or when the stream was made anew, there is no rate until the next look."""
    rates = Rates(clock := Clock())
    rates.note("a", 0)
    clock.now += LONGEST + 1
    assert rates.note("a", 1_000) is None
    clock.now += SHORTEST
    assert rates.note("a", 5) is None


def test_server_that_does_not_count_has_no_rate() -> None:
    """Servers before Redis 7 do not say how many entries were ever added."""
    assert Rates().note("a", None) is None
