"""Settings that several stages share; settings of a single stage live in its package."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from domainstream.validation import at_most, positive_fields, raise_problems

Confirm = int | Literal["all", "fsync"]
"""How many replicas must have what a server has stored before it counts as stored.

A number; or "all" that the primary has, and at least one; or "fsync": the primary and all replicas that it has, if any,
must have it on their disks, which takes `appendonly yes` at each of them and Redis 7.2 or later, or Valkey.
"""


def confirm_problem(confirm: object, *, least: int = 1) -> str | None:
    """Return why a setting does not say how many replicas must have a write, or None; a number is at least `least`."""
    if confirm in (None, "all", "fsync") or (type(confirm) is int and confirm >= least):
        return None
    return f'confirm must be a number of replicas (at least {least}), "all", "fsync" or None'


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageLimits:
    """Limits of a message, both when it is written and when it is read."""

    max_bytes: int = 256 * 1024
    """The largest message, in bytes of JSON. Defaults to 262,144 (256 KiB)."""

    max_depth: int = 32
    """How deep arrays and objects may nest; the envelope is the first level. Defaults to 32."""

    max_containers: int = 10_000
    """How many arrays and objects a message may hold. Each costs a reader far more memory than its few bytes suggest.
    Defaults to 10,000.
    """

    strict_integers: bool = True
    """Whether to reject integers beyond ±(2^53 - 1), which Node.js would round. Defaults to True."""

    allow_naive: bool = False
    """Whether datetimes without a time zone may be published in payloads. Every reader takes them for its own time, so
    the same event means another moment in another place. They are always read. Defaults to False.
    """

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` unless every limit is at least 1."""
        raise_problems("MessageLimits", positive_fields(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How long a batch is retried, and how often."""

    deadline: timedelta = timedelta(seconds=10)
    """Time from the first attempt to giving up. Defaults to 10 seconds."""

    attempt_timeout: timedelta = timedelta(seconds=2)
    """How long one attempt waits for its reply. Defaults to 2 seconds."""

    first_delay: timedelta = timedelta(milliseconds=20)
    """Upper bound of the first pause. Each pause is random, between half its upper bound and the upper bound, which
    doubles with each attempt. Defaults to 20 milliseconds.
    """

    longest_delay: timedelta = timedelta(seconds=1)
    """Where the upper bound of a pause stops doubling. Defaults to 1 second."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for durations that are not positive, or that contradict each other."""
        raise_problems("RetryPolicy", [*positive_fields(self), at_most(self, "first_delay", "longest_delay")])
