"""How a worker keeps its jobs, and how fast it may take them."""

from dataclasses import dataclass
from datetime import timedelta

from domainstream.validation import positive_fields, raise_problems


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimit:
    """How many jobs of a queue may begin in a while, all its workers together; each must be told the same."""

    jobs: int
    """How many, at the most."""

    per: timedelta = timedelta(seconds=1)
    """In which time, from the first of them. Defaults to 1 second."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for numbers of zero or less."""
        raise_problems("RateLimit", positive_fields(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """What a worker tells BullMQ."""

    lock: timedelta = timedelta(seconds=30)
    """For how long a job is this worker's own without a renewal, which comes at half of it. A job of a worker that has
    died comes again after that, and after the next look. Defaults to 30 seconds.
    """

    stalled_interval: timedelta = timedelta(seconds=30)
    """How often the workers of a queue look for jobs of workers that have died; a job comes again at the second look
    that finds it without a lock. Defaults to 30 seconds.
    """

    max_stalled: int = 10
    """How often a job may come again in this way before it fails: one that brings down its worker each time must not go
    round for ever, one that only stood beside such a job should not fail. Defaults to 10.
    """

    rate_limit: RateLimit | None = None
    """How many jobs may begin in a while. Defaults to None: no limit but that of the queue itself."""

    metrics: int | None = None
    """For how many minutes BullMQ counts completed and failed jobs. Defaults to None: they are not counted."""

    name: str | None = None
    """What BullMQ's tools call the worker; stored with each job it takes. Defaults to None: no name."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for numbers of zero or less, and for a name that a connection cannot have."""
        name = self.name
        blank = name is not None and (not name or any(sign.isspace() for sign in name))
        problem = f"name is {name!r}, expected no white space and not nothing; type: name='valuation-1'"
        raise_problems("WorkerSettings", [*positive_fields(self), problem if blank else None])
