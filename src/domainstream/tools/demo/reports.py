"""What the children tell the parent: reports, one JSON object a line."""

from typing import NamedTuple

import msgspec
from msgspec import Struct


class Subscription(NamedTuple):
    """One subscription.

    Attributes:
        channel: Where the events come from.

        queue: Where their jobs go.

        job: What the jobs are called.
    """

    channel: str
    queue: str
    job: str


class Published(NamedTuple):
    """An event that has its entry in the stream.

    Attributes:
        channel: Which stream.

        event_id: Which event.
    """

    channel: str
    event_id: str


class Handled(NamedTuple):
    """An event whose handler has returned.

    Attributes:
        subscription: Which handler.

        event_id: Which event.

        milliseconds: From the moment it happened to the end of the handler.
    """

    subscription: Subscription
    event_id: str
    milliseconds: float


class Report(Struct, kw_only=True, omit_defaults=True):
    """What is new in one process since its last report.

    Attributes:
        ready: It can work.

        finished: It has handed in all stays.

        subscriptions: Who listens to what; from the subscriber only.

        published: Events that have their entries.

        not_published: How many events stayed in their service.

        handled: Events whose handlers have returned.

        failures: What went wrong, a sentence each.
    """

    ready: bool = False
    finished: bool = False
    subscriptions: list[Subscription] = []
    published: list[Published] = []
    not_published: int = 0
    handled: list[Handled] = []
    failures: list[str] = []


write_report = msgspec.json.Encoder().encode
read_report = msgspec.json.Decoder(Report).decode
