"""How often a job is tried and how long a finished one is kept. Used by `bullmq_queue`."""

from dataclasses import dataclass
from datetime import timedelta

from domainstream.config import not_above_zero, refuse


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings:
    """What a queue is told about each job.

    Attributes:
        attempts: How often a job is tried before it has failed, the first time included. Defaults to 3.

        backoff: The pause after the first failure; it doubles with each further one. Defaults to 1 second.

        keep_completed: How long a completed job is kept, and with it the knowledge that its event was handled: an event
            delivered again after that becomes a second job. Defaults to 1 hour.

        keep_completed_count: At most so many completed jobs are kept in a queue. Defaults to 10,000.

        keep_failed: How long a failed job is kept for people to look at. Defaults to 24 hours.
    """

    attempts: int = 3
    backoff: timedelta = timedelta(seconds=1)
    keep_completed: timedelta = timedelta(hours=1)
    keep_completed_count: int = 10_000
    keep_failed: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for settings of zero or less."""
        refuse("JobSettings", not_above_zero(self))
