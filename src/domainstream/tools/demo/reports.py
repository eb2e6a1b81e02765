"""What the children tell the parent: reports, one JSON object a line."""

from typing import NamedTuple

import msgspec
from msgspec import Struct


class Subscription(NamedTuple):
    """One subscription."""

    channel: str
    """Where the events come from."""

    queue: str
    """Where their jobs go."""

    job: str
    """What the jobs are called."""


class Published(NamedTuple):
    """An event that has its entry in the stream."""

    channel: str
    """Which stream."""

    event_id: str
    """Which event."""


class Handled(NamedTuple):
    """An event whose handler has returned."""

    subscription: Subscription
    """Which handler."""

    event_id: str
    """Which event."""

    milliseconds: float
    """From the moment it happened to the end of the handler."""


class Report(Struct, kw_only=True, omit_defaults=True):
    """What is new in one process since its last report."""

    ready: bool = False
    """It can work."""

    finished: bool = False
    """It has handed in all stays."""

    subscriptions: list[Subscription] = []
    """Who listens to what; from the subscriber only."""

    published: list[Published] = []
    """Events that have their entries."""

    not_published: int = 0
    """How many events stayed in their service."""

    handled: list[Handled] = []
    """Events whose handlers have returned."""

    failures: list[str] = []
    """What went wrong, a sentence each."""


write_report = msgspec.json.Encoder().encode
read_report = msgspec.json.Decoder(Report).decode
