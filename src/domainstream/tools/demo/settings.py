"""What a run of the demo is told."""

from dataclasses import dataclass

from msgspec import Struct

STAYS_PER_SECOND = 300
"""How fast stays are handed in: slower than the services are, so that latencies are not those of a backlog."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """What the user asked for."""

    events: int
    """How many medical stays to hand in, at least 1."""

    seed: int
    """What they are drawn from."""

    redis_url: str | None
    """Which server to use; None finds one."""


class ChildSettings(Struct, frozen=True, kw_only=True):
    """What the parent writes to a child's standard input, as one line of JSON."""

    url: str
    """The server, with its password: this is why it is not an argument."""

    run: str
    """The name of the run, which stands in every key of it and in no other."""

    events: int
    """How many medical stays coding hands in."""

    seed: int
    """What they are drawn from."""

    stays_per_second: float = STAYS_PER_SECOND
    """How fast."""

    @property
    def stream_prefix(self) -> str:
        """What stands in front of each channel in its stream's key."""
        return f"{self.run}:"

    @property
    def bull_prefix(self) -> str:
        """What stands in front of each queue in BullMQ's keys."""
        return self.run
