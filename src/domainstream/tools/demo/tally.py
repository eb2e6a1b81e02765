"""Counts the children's reports: published, handled and missing events."""

from collections.abc import Iterable, Sequence
from math import ceil

from domainstream.tools.demo.reports import Handled, Published, Report, Subscription


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest of `values` that at least `percent` of them do not exceed; None without values."""
    if not values:
        return None
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]


class Tally:
    """The counts of all processes so far."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []
        """All subscriptions."""
        self.finished = False
        """Whether all stays are handed in."""
        self.not_published = 0
        """How many events were mapped to None."""
        self.duplicates = 0
        """How often a handler got an event that it had handled before."""
        self.failures: list[str] = []
        """One sentence per failure."""
        self._published: dict[str, set[str]] = {}
        self._handled: dict[Subscription, set[str]] = {}
        self._milliseconds: dict[str, list[float]] = {}

    def add(self, report: Report) -> None:
        """Add a report."""
        self.subscriptions += report.subscriptions
        self.finished |= report.finished
        self.not_published += report.not_published
        self.failures += report.failures
        self._add_published(report.published)
        self._add_handled(report.handled)

    def published(self, channel: str) -> int:
        """Return how many events were added to the stream of `channel`."""
        return len(self._published.get(channel, ()))

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
        """Whether all stays are handed in and every published event is handled for each of its subscriptions.

        A handler's own events are reported before its end, by the same process, so no event can be missed.
        """
        return self.finished and not self.missing()

    def missing(self) -> list[str]:
        """Return a sentence for each subscription whose handled events are not exactly the published ones."""
        return [
            f"{channel} → {queue}:{job}: {self.published(channel):,} published, {self.handled(subscription):,} handled"
            for subscription in self.subscriptions
            for channel, queue, job in [subscription]
            if self._handled.get(subscription, set()) != self._published.get(channel, set())
        ]

    def _add_published(self, events: Iterable[Published]) -> None:
        for channel, event_id in events:
            self._published.setdefault(channel, set()).add(event_id)

    def _add_handled(self, events: Iterable[Handled]) -> None:
        for subscription, event_id, milliseconds in events:
            handled = self._handled.setdefault(subscription, set())
            self.duplicates += event_id in handled
            handled.add(event_id)
            self._milliseconds.setdefault(subscription.channel, []).append(milliseconds)
