"""How much the faults suite does: a glance for every run, or the figures that are promised."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Size:
    """The figures of one size.

    Attributes:
        name: What is typed to get it.

        strict: Whether figures of time must be those that are promised, on a machine that does nothing else.

        events: Events of a run; each goes to two queues.

        handled_events: Events of a run in which workers handle each of them twice.

        subscriber_kills: How often subscribers are killed in a run.

        failpoint_deaths: How often a subscriber dies at each failpoint.

        worker_kills: How often workers are killed in a run.

        server_kills: How often the server is killed in a run.

        server_lives: The shortest and the longest life of such a server, in seconds.

        latencies: Events whose way is timed in a run.
    """

    name: str
    strict: bool
    events: int
    handled_events: int
    subscriber_kills: int
    failpoint_deaths: int
    worker_kills: int
    server_kills: int
    server_lives: tuple[float, float]
    latencies: int


QUICK: Final = Size(
    name="quick",
    strict=False,
    events=4_000,
    handled_events=1_500,
    subscriber_kills=6,
    failpoint_deaths=6,
    worker_kills=5,
    server_kills=3,
    server_lives=(0.3, 0.8),
    latencies=600,
)

FULL: Final = Size(
    name="full",
    strict=True,
    events=100_000,
    handled_events=20_000,
    subscriber_kills=30,
    failpoint_deaths=200,
    worker_kills=50,
    server_kills=30,
    server_lives=(1.0, 3.0),
    latencies=6_000,
)

SIZES: Final = {size.name: size for size in (QUICK, FULL)}
