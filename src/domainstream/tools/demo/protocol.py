"""What the parent and its children write to each other, one JSON object per line.

The parent writes a child's settings, and later a line that lets the stays be handed in; a child writes reports.
"""

from typing import NamedTuple

import msgspec
from msgspec import Struct


class ChildSettings(Struct, frozen=True, kw_only=True):
    """The settings of a child, which the parent writes to its standard input."""

    url: str
    """The server's URL with its password, which is why it is not a command-line argument."""

    run: str
    """The name of the run, which all of its keys and no others contain."""

    events: int | None
    """How many medical stays the coding service hands in; None for as many as it can until the run ends."""

    seed: int
    """The seed of the stays."""

    database_file: str
    """The SQLite file of the coding service, in a folder of its own."""

    stays_per_second: float
    """The rate at which it hands them in."""

    survives_failover: bool = False
    """Whether publishers wait until a replica has each event, and longer than usual for a server that answers."""

    in_order: bool = True
    """Whether the subscriptions keep their rule that the events of an aggregate are handled in order."""

    announces: bool = False
    """Whether the Node.js service runs too, and so gets jobs."""

    has_dashboard: bool = False
    """Whether the run is shown in a browser; some handlers then give up until somebody retries their jobs there."""

    @property
    def database_url(self) -> str:
        """The database of the coding service."""
        return f"sqlite+aiosqlite:///{self.database_file}"

    @property
    def stream_prefix(self) -> str:
        """The prefix of all stream keys."""
        return f"{self.run}:"

    @property
    def bull_prefix(self) -> str:
        """The prefix of all BullMQ keys."""
        return self.run

    @property
    def confirm(self) -> int | None:
        """How many replicas must have an event before it counts as published."""
        return 1 if self.survives_failover else None


class Subscription(NamedTuple):
    """A channel's subscription by a queue."""

    channel: str
    """The channel's value."""

    queue: str
    """The queue that gets the jobs."""

    job: str
    """The jobs' name."""


class Published(NamedTuple):
    """An event that was added to its stream."""

    channel: str
    """The channel's value."""

    event_id: str
    """The event's id."""


class Handled(NamedTuple):
    """An event whose handler has returned."""

    subscription: Subscription
    """The subscription that it was handled for."""

    event_id: str
    """The event's id."""

    milliseconds: float | None
    """The time from the event to the end of its handler; None where a failure on purpose is part of it."""


class Report(Struct, kw_only=True, omit_defaults=True):
    """The news of one process since its last report."""

    ready: bool = False
    """Whether it is ready to work."""

    finished: bool = False
    """Whether all stays are handed in."""

    subscriptions: list[Subscription] = []
    """The subscriptions; only the subscriber reports them."""

    dashboard: str = ""
    """The address of the dashboard; only the dashboard reports it."""

    published: list[Published] = []
    """Events that were added to their streams."""

    stored: list[Published] = []
    """Events that were added to an outbox, and will be added to their streams by its relay."""

    not_published: int = 0
    """How many events were mapped to None."""

    handled: list[Handled] = []
    """Events whose handlers have returned."""

    failures: list[str] = []
    """One sentence per failure."""

    failed_on_purpose: int = 0
    """How often a handler failed so that later events of the aggregate had to wait."""

    overtaken: int = 0
    """How many events were handled after a later one of their aggregate."""


write_report = msgspec.json.Encoder().encode
read_report = msgspec.json.Decoder(Report).decode
