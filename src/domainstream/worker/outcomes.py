"""The three ways a handler can answer: done, try again later, give up. Pure; used by `attempt` and `error_handler`.

A handler that returns has done its job. It raises `RetryLater` or `GiveUp` for the other two; any other exception goes
to the consumer's `ErrorHandler`, which by default counts it as a failed attempt, and the job is tried again as its
queue says.
"""

from datetime import timedelta
from math import isfinite
from typing import Final

from msgspec import Struct

from domainstream.validation import raise_problems

LONGEST: Final = timedelta(days=36_500)
"""A hundred years: dates beyond can overflow."""

_NO_REASON: Final = "the handler gave up without a reason"


class Done(Struct, frozen=True):
    """The job is done. Returning nothing means the same."""


class RetryLater(Exception):  # noqa: N818 - an answer, no error
    """The job shall come again after a while; this does not count as a failed attempt."""

    def __init__(self, delay: timedelta | float) -> None:
        """Ask for the job again after `delay`, a duration or seconds.

        Raises `ConfigurationError` for less than zero, and for what is no number of seconds, as infinity.
        """
        raise_problems("RetryLater", [_delay_problem(delay)])
        self.delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        """After how long, at least."""
        super().__init__(f"again in {self.delay}")


class GiveUp(Exception):  # noqa: N818 - an answer, no error
    """The job has failed and shall not be tried again."""

    def __init__(self, reason: str) -> None:
        # Not refused: an error here would make a failed attempt of it, and the job would come again.
        self.reason = reason if reason.strip() else _NO_REASON
        """Why; it is stored with the failed job. A blank one is replaced by words that say so."""
        super().__init__(self.reason)


HandlerOutcome = Done | RetryLater | GiveUp
"""What becomes of a job."""


def _delay_problem(delay: object) -> str | None:
    if isinstance(delay, timedelta):
        seconds = delay.total_seconds()
    elif isinstance(delay, int | float) and isfinite(delay):
        seconds = delay
    else:
        return f"delay is {delay!r}, expected a timedelta or a number of seconds; type: RetryLater(delay=30)"
    if not 0 <= seconds <= LONGEST.total_seconds():
        return (
            f"delay is {seconds} s, expected zero or more, and at most {LONGEST.days} days; type: RetryLater(delay=30)"
        )
    return None
