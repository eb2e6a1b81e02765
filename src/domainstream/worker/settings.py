"""The settings of a worker: how long it may keep jobs, and how fast it may take them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from domainstream.validation import plain_name, positive_fields, raise_problems


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimit:
    """How many jobs of a queue may start per period, over all its workers; give each worker the same limit.

    For a queue with partitions, it holds for each of them.
    """

    jobs: int
    """The largest number of jobs per period."""

    per: timedelta = timedelta(seconds=1)
    """The period, which begins with its first job. Defaults to 1 second."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for numbers of zero or less."""
        raise_problems("RateLimit", positive_fields(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """How a worker uses BullMQ."""

    lock: timedelta = timedelta(seconds=30)
    """How long a job stays locked for this worker without a renewal; locks are renewed after half of it. If the worker
    dies, its jobs are retried once the lock has expired and the next check for stalled jobs has run. Defaults to 30
    seconds.
    """

    stalled_interval: timedelta = timedelta(seconds=30)
    """How often the workers of a queue check for stalled jobs, whose workers have died; a job is retried at the second
    check that finds it without a lock. Defaults to 30 seconds.
    """

    max_stalled: int = 10
    """How often a job may stall before it fails: high enough that a job which only ran beside one that crashes its
    worker survives, and finite so that the crashing one does not run forever. Defaults to 10.
    """

    rate_limit: RateLimit | None = None
    """How many jobs may start per period. Defaults to None: no limit except one set on the queue itself."""

    metrics: int | None = None
    """For how many minutes BullMQ keeps counts of completed and failed jobs. Defaults to None: they are not counted."""

    trace: Literal["link", "parent"] = "link"
    """What the span of an attempt is to the context of its message: "parent" makes it a part of the trace in which the
    event was published; "link" gives it a trace of its own, which refers to that one. Defaults to "link".
    """

    name: str | None = None
    """The worker's name in BullMQ's tools; stored with each job it takes. Defaults to None: no name."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for numbers of zero or less, and for a name that a connection cannot have."""
        name = plain_name(self.name)
        object.__setattr__(self, "name", name)
        invalid = name is not None and (not name or any(character.isspace() for character in name))
        problem = f"name is {name!r}, must be non-empty and contain no whitespace; use name='valuation-1'"
        given: object = self.trace
        trace = None if given in ("link", "parent") else f'trace is {given!r}, must be "link" or "parent"'
        raise_problems("WorkerSettings", [*positive_fields(self), problem if invalid else None, trace])
