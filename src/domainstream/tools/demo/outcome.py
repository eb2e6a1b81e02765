"""What a run comes to: the object that `--json` prints, and whether the run was good."""

from typing import Any, Self

from msgspec import Struct

from domainstream.tools.demo.tally import Tally, percentile


class SubscriptionOutcome(Struct, frozen=True, kw_only=True):
    """What became of one subscription."""

    channel: str
    """Where the events came from."""

    queue: str
    """Where their jobs went."""

    job: str
    """What the jobs were called."""

    published: int
    """How many events were published."""

    handled: int
    """How many of them were handled."""


class DemoOutcome(Struct, frozen=True, kw_only=True):
    """What a run came to."""

    published: int
    """Events that got an entry in their stream."""

    not_published: int
    """Events that were mapped to None."""

    handled: int
    """Handled events, one for each subscription."""

    failed: int
    """What went wrong: handlers that raised, events that were not published, processes that died."""

    duplicates: int
    """Events that a handler got more than once."""

    p50_ms: float | None
    """Half of the events took at most this long, from happening to handled; None when there were none."""

    p99_ms: float | None
    """99 of 100 took at most this long."""

    seconds: float
    """How long it took from the first stay to the last handler."""

    server: str
    """The server's name and version."""

    subscriptions: list[SubscriptionOutcome]
    """The same, by subscription."""

    problems: list[str]
    """What is wrong, a sentence each; empty for a good run."""

    @classmethod
    def of(cls, tally: Tally, *, seconds: float, server: str, problems: list[str]) -> Self:
        """Sum `tally` up; `problems` are those that it does not know of itself."""
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
