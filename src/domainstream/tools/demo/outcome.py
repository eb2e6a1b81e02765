"""What a run comes to: the object that `--json` prints, and whether the run was good."""

from typing import Any, Self

from msgspec import Struct

from domainstream.tools.demo.tally import Tally, percentile


class SubscriptionOutcome(Struct, frozen=True, kw_only=True):
    """What became of one subscription.

    Attributes:
        channel: Where the events came from.

        queue: Where their jobs went.

        job: What the jobs were called.

        published: How many events were published.

        handled: How many of them were handled.
    """

    channel: str
    queue: str
    job: str
    published: int
    handled: int


class DemoOutcome(Struct, frozen=True, kw_only=True):
    """What a run came to.

    Attributes:
        published: Events that got an entry in their stream.

        not_published: Events that were mapped to None.

        handled: Handled events, one for each subscription.

        failed: What went wrong: handlers that raised, events that were not published, processes that died.

        duplicates: Events that a handler got more than once.

        p50_ms: Half of the events took at most this long, from happening to handled; None when there were none.

        p99_ms: 99 of 100 took at most this long.

        seconds: How long it took from the first stay to the last handler.

        server: The server's name and version.

        subscriptions: The same, by subscription.

        problems: What is wrong, a sentence each; empty for a good run.
    """

    published: int
    not_published: int
    handled: int
    failed: int
    duplicates: int
    p50_ms: float | None
    p99_ms: float | None
    seconds: float
    server: str
    subscriptions: list[SubscriptionOutcome]
    problems: list[str]

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
