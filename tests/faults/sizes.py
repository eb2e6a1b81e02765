"""How much the fault tests do: little in every run, or as much as the promised figures need."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Size:
    """The figures of one size."""

    name: str
    """Its name on the command line."""

    strict: bool
    """Whether the promised times are asserted, which needs an otherwise idle machine."""

    patience: float
    """Seconds until a wait fails."""

    events: int
    """Events of a run; each goes to two queues."""

    handled_events: int
    """Events of a run in which workers handle each of them twice."""

    subscriber_kills: int
    """How often subscribers are killed in a run."""

    membership_changes: int
    """How often an instance that shares partitions comes, goes or is killed."""

    kills_amid_changes: int
    """How often a primary of a cluster is killed while instances that share partitions come, go and are killed."""

    failpoint_deaths: int
    """How often a subscriber dies at each failpoint."""

    worker_kills: int
    """How often workers are killed in a run."""

    locked_jobs: int
    """Jobs whose ends race with the renewal of their locks."""

    ordered_events: int
    """Events of a run whose jobs are handled in order."""

    forgotten_events: int
    """Events of a run in order after which nothing of them must be left."""

    ordered_kills: int
    """How often workers are killed in such a run."""

    ordered_deeds: int
    """How often people do something to its jobs."""

    server_kills: int
    """How often the server is killed in a run."""

    primary_kills: int
    """How often a primary of a cluster is killed in a run."""

    pauses: int
    """How often one of several subscribers is killed or suspended in a run."""

    server_lives: tuple[float, float]
    """The shortest and the longest life of such a server, in seconds."""

    failovers: int
    """How often a primary is replaced in a run."""

    planned_failovers: int
    """How often a primary is replaced for maintenance in a run."""

    partitions: int
    """How often a network is cut in two in a run."""

    slot_moves: int
    """How often slots are moved to another node and back in a run."""

    room: int
    """Bytes of memory that a server has left when publishing begins."""

    outages: int
    """How often a subscriber is away for longer than entries are kept."""

    terminations: int
    """How often a subscriber is terminated under load."""

    latencies: int
    """Events whose latency is measured in a round."""

    rounds: int
    """How many such rounds there are."""

    relay_kills: int
    """How often the relay of an outbox is killed in a run."""

    relay_deaths: int
    """How often a relay dies at each step of its turn."""

    suspensions: int
    """How often the active relay is suspended in a run."""

    hold: float
    """Seconds that a late transaction stays open."""

    database_kills: int
    """How often PostgreSQL is killed in a run."""

    dead_rows: int
    """Dead rows of a table."""


QUICK: Final = Size(
    name="quick",
    strict=False,
    patience=120.0,
    events=3_000,
    handled_events=1_000,
    subscriber_kills=6,
    membership_changes=10,
    kills_amid_changes=1,
    failpoint_deaths=6,
    worker_kills=5,
    ordered_events=600,
    forgotten_events=4_000,
    ordered_kills=4,
    ordered_deeds=40,
    locked_jobs=6_000,
    server_kills=3,
    primary_kills=3,
    pauses=4,
    server_lives=(0.3, 0.8),
    failovers=2,
    planned_failovers=1,
    partitions=0,
    slot_moves=2,
    room=1_000_000,
    outages=3,
    terminations=2,
    latencies=400,
    rounds=1,
    relay_kills=6,
    relay_deaths=1,
    suspensions=5,
    hold=0.0,
    database_kills=2,
    dead_rows=20_000,
)

FULL: Final = Size(
    name="full",
    strict=True,
    patience=900.0,
    events=100_000,
    handled_events=20_000,
    subscriber_kills=30,
    membership_changes=50,
    kills_amid_changes=12,
    failpoint_deaths=200,
    worker_kills=50,
    ordered_events=20_000,
    forgotten_events=1_000_000,
    ordered_kills=40,
    ordered_deeds=1_000,
    locked_jobs=1_000_000,
    server_kills=30,
    primary_kills=20,
    pauses=60,
    server_lives=(1.0, 3.0),
    failovers=20,
    planned_failovers=10,
    partitions=3,
    slot_moves=20,
    room=40_000_000,
    outages=30,
    terminations=20,
    latencies=6_000,
    rounds=5,
    relay_kills=500,
    relay_deaths=72,
    suspensions=300,
    hold=30.0,
    database_kills=30,
    dead_rows=1_000_000,
)

SIZES: Final = {size.name: size for size in (QUICK, FULL)}
