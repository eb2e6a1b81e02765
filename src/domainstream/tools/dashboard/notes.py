"""What is there now of a channel or a queue, in a few words, and whether that is bad."""

from collections.abc import Sequence
from typing import Final

from domainstream.tools.dashboard.facts import ChannelFacts, QueueFacts
from domainstream.tools.dashboard.rendering import seconds

LATE_MS: Final = 10_000
"""From which age on an event that is not settled is more than under way."""


def channel_note(streams: Sequence[ChannelFacts]) -> tuple[str, str]:
    """Return the words for the streams of a channel, and `bad`, `warn` or nothing."""
    if not streams:
        return "nothing published yet", ""
    dead = sum(stream.dead.letters for stream in streams if stream.dead)
    if dead:
        return f"{dead:,} dead letters", "bad"
    if any(stream.stream and not stream.groups for stream in streams):
        return "nobody reads it", "warn"
    rates = [stream.rate for stream in streams if stream.rate is not None]
    rate = f"{per_second(sum(rates))}, " if rates else ""
    lag, oldest_ms = sum(stream.lag for stream in streams), max(stream.oldest_ms or 0 for stream in streams)
    if oldest_ms >= LATE_MS:
        return f"{rate}{lag:,} not settled, {seconds(oldest_ms)} behind", "warn"
    return rate + (f"{lag:,} not settled" if lag else "all settled"), ""


def per_second(rate: float) -> str:
    """Return a rate in words: with one place below ten a second."""
    return f"{rate:,.0f}/s" if rate >= 9.95 or not rate else f"{max(rate, 0.1):.1f}/s"


def queue_note(queues: Sequence[QueueFacts]) -> tuple[str, str]:
    """Return the words for the BullMQ queues of a queue, and `bad` or nothing."""
    if not queues:
        return "no job yet", ""
    held, failed = sum(queue.held for queue in queues), sum(queue.state.failed for queue in queues)
    if held:
        return f"{held:,} held keys, {failed:,} failed", "bad"
    if failed:
        return f"{failed:,} failed", "bad"
    waiting, active = sum(queue.state.waiting for queue in queues), sum(queue.state.active for queue in queues)
    return f"{waiting:,} waiting, {active:,} active", ""
