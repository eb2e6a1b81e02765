"""The doctor's checks of streams, groups and dead letters."""

from collections.abc import Iterable, Iterator, Sequence

from domainstream.redis.keys import stream_key
from domainstream.stream import GroupState, StreamState
from domainstream.stream.dead_letters import DeadLetterState
from domainstream.stream.state import ms_of
from domainstream.text import printable
from domainstream.tools.common.formatting import age, number, plural
from domainstream.tools.doctor.finding import Finding, ok, problem, redis_cli, warning
from domainstream.tools.doctor.server_checks import SKEW_MS


def stream_findings(streams: Sequence[StreamState], *, now_ms: int) -> Iterator[Finding]:
    """Check whether streams count added entries, and whether the server's clock has jumped back."""
    if any(stream.added is None for stream in streams):
        words = "the server does not count added entries, so losses go unnoticed"
        yield problem("streams", words, "install Redis 7.0 or Valkey 7.2 or newer")
    ahead = {stream.channel: ms_of(stream.last_id) - now_ms for stream in streams}
    for channel, milliseconds in ahead.items():
        if milliseconds > SKEW_MS:
            words = (
                f"the newest entry of {channel} is {age(milliseconds)} ahead of the server's clock, which jumped back"
            )
            yield warning("streams", words, "timedatectl set-ntp true")
    yield ok("streams", f"{plural(len(streams), 'channel')} found")


def group_findings(
    streams: Iterable[StreamState], groups: Iterable[GroupState], *, wanted: str | None, prefix: str
) -> Iterator[Finding]:
    """Check which channels no group reads, or not the group `wanted`, and which groups lost entries."""
    known = list(groups)
    unread = [stream.channel for stream in streams if not _is_read(stream.channel, known, wanted)]
    for channel in unread:
        missing = f"the group {wanted} does not read {channel}" if wanted else f"no group reads {channel}"
        command = redis_cli("XGROUP", "CREATE", stream_key(channel, prefix), wanted or "domain-events", "0")
        yield problem("groups", f"{missing}: its events are lost when their retention ends", command)
    for group in known:
        if group.lost:
            name = printable(group.group)
            words = f"{number(group.lost)} entries were removed from {group.channel} before {name} read them"
            yield warning("groups", words, f"domainstream groups {group.channel}")
    if not unread:
        yield ok("groups", "every channel is read by " + (f"the group {wanted}" if wanted else "a group"))


def _is_read(channel: str, groups: Iterable[GroupState], wanted: str | None) -> bool:
    return any(group.channel == channel and wanted in (None, group.group) for group in groups)


def dead_letter_findings(states: Sequence[DeadLetterState]) -> Iterator[Finding]:
    """Check which channels have dead letters."""
    for state in states:
        words = f"{state.channel} has {plural(state.letters, 'dead letter')}"
        yield warning("dead letters", words, f"domainstream dead-letters ls {state.channel}")
    if not states:
        yield ok("dead letters", "there are none")
