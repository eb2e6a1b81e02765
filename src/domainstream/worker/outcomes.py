"""The three ways a handler can answer: done, try again later, give up. Pure; used by `bullmq_event_worker`.

A handler that returns has done its job. It raises `RetryLater` or `GiveUp` for the other two; any other exception
counts as a failed attempt, and the job is tried again as its queue says.
"""

from datetime import timedelta
from typing import Final

from msgspec import Struct

from domainstream.config import refuse

ZERO: Final = timedelta()


class Done(Struct, frozen=True):
    """The job is done. Returning nothing means the same."""


class RetryLater(Exception):  # noqa: N818 - an answer, no error
    """The job shall come again after a while; this does not count as a failed attempt.

    Attributes:
        delay: After how long, at least.
    """

    def __init__(self, delay: timedelta | float) -> None:
        """Ask for the job again after `delay`, a duration or seconds; raise `ConfigurationError` for less than zero."""
        self.delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        too_short = f"delay is {self.delay}, expected zero or more" if self.delay < ZERO else None
        refuse("RetryLater", [too_short])
        super().__init__(f"again in {self.delay}")


class GiveUp(Exception):  # noqa: N818 - an answer, no error
    """The job has failed and shall not be tried again.

    Attributes:
        reason: Why; it is stored with the failed job.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
