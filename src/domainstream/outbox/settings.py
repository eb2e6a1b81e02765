"""The settings of a relay."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from domainstream.settings import Confirm, confirm_problem
from domainstream.validation import at_most, positive_fields, raise_problems


@dataclass(frozen=True, kw_only=True, slots=True)
class RelaySettings:
    """How a relay reads, publishes and holds its lease."""

    batch_messages: int = 500
    """Rows in one batch. Defaults to 500."""

    batch_bytes: int = 1024 * 1024
    """Bytes of the messages in one batch; a single larger message goes alone. Defaults to 1 MiB."""

    shortest_pause: timedelta = timedelta(milliseconds=2)
    """The pause before the next look at a table that was empty; pauses grow to a quarter of the time without events.
    Defaults to 2 milliseconds.
    """

    longest_pause: timedelta = timedelta(milliseconds=50)
    """Where pauses stop growing: what an event waits at most after a quiet time. Defaults to 50 milliseconds."""

    wake: Literal["poll", "notify"] = "poll"
    """What ends a pause early: nothing, or PostgreSQL's notifications, which `Outbox(notify=True)` sends. They bring an
    event to its stream within a millisecond, and halve the rate at which many writers commit. Defaults to "poll".
    """

    lease: timedelta = timedelta(seconds=10)
    """How long another relay waits for this one, on the database's clock. Defaults to 10 seconds."""

    answer_timeout: timedelta = timedelta(seconds=20)
    """How long the database may take to connect, and again for each transaction; then the relay gives the connection
    up and begins again on a new one. Defaults to 20 seconds.
    """

    full_scan_every: timedelta = timedelta(seconds=30)
    """How often the table is read from its beginning, to find what reading on may have missed. Defaults to 30 s."""

    dedup_window: timedelta = timedelta(hours=24)
    """How long the server remembers a relay's last batch. A relay that dies, and whose successor comes later than that,
    may repeat that one batch. Defaults to 24 hours.
    """

    confirm: Confirm | None = None
    """How many replicas must have an event before its row is removed: a number; or "all" that the primary has, and at
    least one; or "fsync", the disks of the primary and of all its replicas. Until they confirm it, its batch is sent
    again. None waits for none of them. Defaults to None.
    """

    archive: bool = False
    """Whether published rows are moved to the archive table, from which they can be replayed. Defaults to False."""

    index: bool = True
    """Whether the streams get an index, as `PublisherSettings.index` says. Defaults to True."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for amounts that are not positive, or that contradict each other."""
        raise_problems(
            "RelaySettings",
            [
                *positive_fields(self, but=("confirm", "index")),
                confirm_problem(self.confirm),
                None if self.wake in ("poll", "notify") else f'wake must be "poll" or "notify", not {self.wake!r}',
                at_most(self, "shortest_pause", "longest_pause"),
                at_most(self, "longest_pause", "lease"),
            ],
        )


DEFAULT_SETTINGS: Final = RelaySettings()
