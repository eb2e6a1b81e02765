"""The settings of a run and of its child processes."""

from dataclasses import dataclass

from msgspec import Struct

STAYS_PER_SECOND = 300
"""The rate at which stays are handed in: slower than the services, so that no backlog distorts latencies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """The settings of a run."""

    events: int
    """How many medical stays to hand in, at least 1."""

    seed: int
    """The seed of the stays."""

    redis_url: str | None
    """The server to use; None finds or starts one."""


class ChildSettings(Struct, frozen=True, kw_only=True):
    """The settings of a child, which the parent writes to its standard input as one line of JSON."""

    url: str
    """The server's URL with its password, which is why it is not a command-line argument."""

    run: str
    """The name of the run, which all of its keys and no others contain."""

    events: int
    """How many medical stays the coding service hands in."""

    seed: int
    """The seed of the stays."""

    stays_per_second: float = STAYS_PER_SECOND
    """The rate at which it hands them in."""

    @property
    def stream_prefix(self) -> str:
        """The prefix of all stream keys."""
        return f"{self.run}:"

    @property
    def bull_prefix(self) -> str:
        """The prefix of all BullMQ keys."""
        return self.run
