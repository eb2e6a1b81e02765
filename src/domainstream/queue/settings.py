"""How the jobs of a handler are tried, delayed and kept."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from domainstream.validation import ZERO, at_most, positive_fields, raise_problems

OnFailure = Literal["hold", "skip"]
"""What becomes of the jobs behind one that has failed permanently: they wait until it is retried or removed, or go on
without it.
"""

LOWEST_PRIORITY: Final = 2**21
"""BullMQ's; https://docs.bullmq.io/guide/jobs/prioritized."""

_BOUNDS: Final[dict[str, tuple[Any, Any]]] = {
    "jitter": (0, 1),
    "delay": (ZERO, timedelta(days=36_500)),
    "priority": (0, LOWEST_PRIORITY),
}
"""The least and the greatest value of each setting that need not be positive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings:
    """How often a job is tried, when it may begin, and how long it is kept once it has ended."""

    attempts: int = 44
    """How many attempts a job gets, the first included. Defaults to 44: with the other defaults, the pauses between
    them add up to 24 hours at least, and to 28 on average.
    """

    backoff: timedelta = timedelta(seconds=1)
    """The pause after the first failure; it doubles with each further one. Defaults to 1 second."""

    max_backoff: timedelta = timedelta(hours=1)
    """The longest pause. Workers in Node.js ignore it: their pauses double without limit. Defaults to 1 hour."""

    jitter: float = 0.25
    """Which part of each pause is random, from 0 (none) to 1 (all of it), so that jobs that failed together are not
    retried together. Defaults to 0.25.
    """

    delay: timedelta = ZERO
    """How long a job waits before it may begin. Defaults to zero."""

    priority: int = 0
    """Jobs with a smaller number begin first, from 1 to 2,097,152; 0 means no priority and begins before all others.
    Jobs of one priority keep their order. Defaults to 0.
    """

    keep_completed: timedelta = timedelta(hours=1)
    """How long a completed job is kept. While it is kept, its id rejects repeats; an event that is published again
    later becomes a second job. Defaults to 1 hour.
    """

    keep_completed_count: int = 10_000
    """The most completed jobs that a queue keeps. Defaults to 10,000."""

    keep_failed: timedelta | None = None
    """How long a failed job is kept. Defaults to None: until it is retried or removed. While it is kept, its id rejects
    repeats.
    """

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` naming every invalid setting."""
        problems = positive_fields(self, but=("delay", "priority"))
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            kind = (int, float) if name == "jitter" else type(most)
            if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:
                problems.append(f"{name} is {value}, expected {least} to {most}")
        raise_problems("JobSettings", [*problems, at_most(self, "backoff", "max_backoff")])
