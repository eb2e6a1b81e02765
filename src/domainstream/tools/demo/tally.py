"""Counts what the children report, and sums it up as the result of a run, which `--json` prints."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

from msgspec import Struct

from domainstream.tools.common.percentiles import percentile
from domainstream.tools.demo.protocol import Report, Subscription


class Tally:
    """The counts of all processes so far."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []
        """All subscriptions."""
        self.finished = False
        """Whether all stays are handed in."""
        self.dashboard = ""
        """The address of the dashboard; empty until it serves."""
        self.not_published = 0
        """How many events were mapped to None."""
        self.duplicates = 0
        """How often a handler got an event that it had handled before."""
        self.failures: list[str] = []
        """One sentence per failure."""
        self.failed_on_purpose = 0
        """How often a handler failed so that later events of the aggregate had to wait."""
        self.overtaken = 0
        """How many events were handled after a later one of their aggregate."""
        self._published: dict[str, set[str]] = {}
        self._stored: dict[str, set[str]] = {}
        self._handled: dict[Subscription, set[str]] = {}
        self._milliseconds: dict[str, list[float]] = {}

    def add(self, report: Report) -> None:
        """Add a report."""
        self.subscriptions += report.subscriptions
        self.finished |= report.finished
        self.dashboard = report.dashboard or self.dashboard
        self.not_published += report.not_published
        self.failures += report.failures
        self.failed_on_purpose += report.failed_on_purpose
        self.overtaken += report.overtaken
        for channel, event_id in report.published:
            self._published.setdefault(channel, set()).add(event_id)
        for channel, event_id in report.stored:
            self._stored.setdefault(channel, set()).add(event_id)
        for subscription, event_id, milliseconds in report.handled:
            handled = self._handled.setdefault(subscription, set())
            self.duplicates += event_id in handled
            handled.add(event_id)
            if milliseconds is not None:
                self._milliseconds.setdefault(subscription.channel, []).append(milliseconds)

    def published(self, channel: str) -> int:
        """Return how many events were added to the stream of `channel`."""
        return len(self._published.get(channel, ()))

    @property
    def published_by_channel(self) -> Counter[str]:
        """How many events were added to each stream."""
        return Counter({channel: len(ids) for channel, ids in self._published.items()})

    def handled(self, subscription: Subscription) -> int:
        """Return how many events were handled for `subscription`."""
        return len(self._handled.get(subscription, ()))

    def milliseconds(self, channel: str | None = None) -> list[float]:
        """Return the end-to-end time of each handled event of `channel`, or of all channels."""
        channels: Iterable[str] = self._milliseconds if channel is None else [channel]
        return [time for each in channels for time in self._milliseconds.get(each, ())]

    @property
    def total_published(self) -> int:
        """How many events were added to their streams."""
        return sum(map(len, self._published.values()))

    @property
    def total_handled(self) -> int:
        """How many events were handled, summed over all subscriptions, without repeats."""
        return sum(map(len, self._handled.values()))

    @property
    def complete(self) -> bool:
        """Whether all stays are handed in, and every event is published and handled for each of its subscriptions.

        A handler's own events are reported before its end, by the same process, so no event can be missed.
        """
        return self.finished and not self.missing()

    def missing(self) -> list[str]:
        """Return a sentence for each channel that misses stored events, and each subscription that misses events."""
        waiting = {channel: ids - self._published.get(channel, set()) for channel, ids in self._stored.items()}
        unpublished = [
            f"{channel}: {len(ids):,} stored events are not published" for channel, ids in waiting.items() if ids
        ]
        return unpublished + [
            f"{channel} → {queue}:{job}: {self.published(channel):,} published, {self.handled(subscription):,} handled"
            for subscription in self.subscriptions
            for channel, queue, job in [subscription]
            if self._handled.get(subscription, set()) != self._published.get(channel, set())
        ]


class SubscriptionOutcome(Struct, frozen=True, kw_only=True):
    """The counts of one subscription."""

    channel: str
    """The channel's value."""

    queue: str
    """The queue that gets the jobs."""

    job: str
    """The jobs' name."""

    published: int
    """How many events were published."""

    handled: int
    """How many of them were handled."""


class FailoverOutcome(Struct, frozen=True, kw_only=True):
    """What came of the death of a primary."""

    killed: str
    """The primary that was killed, as `host:port`."""

    after_published: int
    """How many events were published before."""

    successor: str
    """The server that took over."""

    took_over_s: float
    """Seconds from the kill until it was the primary."""

    published_again_s: float | None
    """Seconds from the kill until another event of its channels was published; None if none was left."""


class DemoOutcome(Struct, frozen=True, kw_only=True):
    """The result of a run."""

    published: int
    """Events that were added to their stream."""

    not_published: int
    """Events that were mapped to None."""

    handled: int
    """Handled events, one for each subscription."""

    failed: int
    """Failures: handlers that raised, events that were not published, processes that died."""

    duplicates: int
    """How often a handler got an event again."""

    failed_on_purpose: int
    """How often a handler failed so that later events of the aggregate had to wait."""

    overtaken: int
    """How many events were handled after a later one of their aggregate."""

    in_order: bool
    """Whether the subscriptions kept their rule that such events are handled in order."""

    p50_ms: float | None
    """The median time from an event to the end of its handler; None without events."""

    p99_ms: float | None
    """The 99th percentile of that time."""

    seconds: float
    """The time from the first stay to the last handler."""

    server: str
    """The server's name and version."""

    failover: FailoverOutcome | None
    """What came of the death of a primary; None if none was killed."""

    subscriptions: list[SubscriptionOutcome]
    """The counts of each subscription."""

    problems: list[str]
    """One sentence per problem; empty if the run succeeded."""

    @classmethod
    def of(
        cls,
        tally: Tally,
        *,
        seconds: float,
        server: str,
        problems: list[str],
        failover: FailoverOutcome | None = None,
        in_order: bool = True,
    ) -> Self:
        """Summarise `tally`; `problems` are those that the tally does not know.

        Only while no server dies, it is a problem that an event is handled twice, or, `in_order`, after a later one.
        """
        milliseconds = tally.milliseconds()
        repeated = tally.duplicates and failover is None
        repeats = [f"{tally.duplicates:,} events were handled more than once"] if repeated else []
        disordered = tally.overtaken and failover is None and in_order
        overtaken = [f"{tally.overtaken:,} events were overtaken by later ones"] if disordered else []
        return cls(
            published=tally.total_published,
            not_published=tally.not_published,
            handled=tally.total_handled,
            failed=len(tally.failures),
            duplicates=tally.duplicates,
            failed_on_purpose=tally.failed_on_purpose,
            overtaken=tally.overtaken,
            in_order=in_order,
            p50_ms=_rounded(percentile(milliseconds, 50)),
            p99_ms=_rounded(percentile(milliseconds, 99)),
            seconds=round(seconds, 2),
            server=server,
            failover=failover,
            subscriptions=[
                SubscriptionOutcome(
                    **each._asdict(), published=tally.published(each.channel), handled=tally.handled(each)
                )
                for each in tally.subscriptions
            ],
            problems=[*problems, *tally.failures, *tally.missing(), *repeats, *overtaken],
        )


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
