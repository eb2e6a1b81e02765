"""The result of a run, as `--json` prints it."""

from typing import Any, Self

from msgspec import Struct

from domainstream.tools.demo.tally import Tally, percentile


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

    p50_ms: float | None
    """The median time from an event to the end of its handler; None without events."""

    p99_ms: float | None
    """The 99th percentile of that time."""

    seconds: float
    """The time from the first stay to the last handler."""

    server: str
    """The server's name and version."""

    subscriptions: list[SubscriptionOutcome]
    """The counts of each subscription."""

    problems: list[str]
    """One sentence per problem; empty if the run succeeded."""

    @classmethod
    def of(cls, tally: Tally, *, seconds: float, server: str, problems: list[str]) -> Self:
        """Summarise `tally`; `problems` are those that the tally does not know."""
        milliseconds = tally.milliseconds()
        return cls(
            published=tally.total_published,
            not_published=tally.not_published,
            handled=tally.total_handled,
            failed=len(tally.failures),
            duplicates=tally.duplicates,
            p50_ms=_rounded(percentile(milliseconds, 50)),
            p99_ms=_rounded(percentile(milliseconds, 99)),
            seconds=round(seconds, 2),
            server=server,
            subscriptions=[SubscriptionOutcome(**each) for each in _by_subscription(tally)],
            problems=[*problems, *tally.failures, *tally.missing(), *_repeats(tally)],
        )


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)


def _repeats(tally: Tally) -> list[str]:
    return [f"{tally.duplicates:,} events were handled more than once"] if tally.duplicates else []


def _by_subscription(tally: Tally) -> list[dict[str, Any]]:
    return [
        {**each._asdict(), "published": tally.published(each.channel), "handled": tally.handled(each)}
        for each in tally.subscriptions
    ]
