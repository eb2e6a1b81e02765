"""The checks of `domainstream doctor`: a server and its streams, with the command that fixes each finding."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from domainstream.redis.keys import stream_key
from domainstream.stream import GroupState, StreamState
from domainstream.stream.dead_letters import DeadLetterState
from domainstream.stream.inspection.commands import CommandProbeResult
from domainstream.stream.inspection.server import ServerFacts
from domainstream.stream.state import ms_of
from domainstream.text import printable
from domainstream.tools.common.formatting import age, number, plural

Status = Literal["ok", "warning", "problem"]

SKEW_MS: Final = 1000
"""A larger difference between clocks makes ages, delays and the order of a trace wrong."""

FULL: Final = 0.9
"""The share of `maxmemory` above which memory counts as full."""


class Finding(Struct, frozen=True, omit_defaults=True):
    """The result of one check."""

    check: str
    """What was checked."""

    status: Status
    """`ok`, `problem`, or `warning` for what may be intended."""

    words: str
    """What was found, and why it matters."""

    fix: str = msgspec.field(default="", name="mend")
    """The command that fixes it; empty if there is nothing to fix."""


def ok(check: str, words: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check, "ok", words)


def warning(check: str, words: str, fix: str) -> Finding:
    """Return a finding that may be intended, with the command that changes it."""
    return Finding(check, "warning", words, fix)


def problem(check: str, words: str, fix: str) -> Finding:
    """Return a problem, with the command that fixes it."""
    return Finding(check, "problem", words, fix)


def server_findings(facts: ServerFacts | None, *, user: str) -> Iterator[Finding]:
    """Check the kind of server, and how it keeps data."""
    if facts is None:
        words = "the user may not call INFO, so version, memory and persistence are unknown"
        yield warning("server", words, _redis_cli("ACL", "SETUSER", user, "+info"))
        return
    yield _kind(facts)
    if facts.eviction in (None, "noeviction"):
        yield ok("eviction", "when memory is full, writes are rejected and nothing is evicted")
    else:
        words = f"maxmemory-policy is {facts.eviction}: when memory is full, whole streams and queues are evicted"
        yield problem("eviction", words, _setting("maxmemory-policy", "noeviction"))
    yield _memory(facts)
    yield from _persistence(facts)


def _kind(facts: ServerFacts) -> Finding:
    name = f"{facts.name} {facts.version}"
    if facts.cluster:
        words = f"{name} is a node of a cluster; domainstream needs a single server"
        return problem("server", words, "export REDIS_URL=redis://<a server outside of the cluster>:6379")
    if facts.primary:
        words = f"{name} is a replica, which accepts no writes"
        return problem("server", words, f"export REDIS_URL=redis://{facts.primary}")
    return ok("server", name)


def _memory(facts: ServerFacts) -> Finding:
    used = f"{number(facts.used_memory)} bytes used"
    if not facts.max_memory:
        return ok("memory", f"{used}, without a limit")
    if facts.used_memory <= facts.max_memory * FULL:
        return ok("memory", f"{used} of {number(facts.max_memory)}")
    words = f"{used} of {number(facts.max_memory)}: when it is full, nothing can be published"
    return problem("memory", words, _setting("maxmemory", str(facts.max_memory * 2)))


def _persistence(facts: ServerFacts) -> Iterator[Finding]:
    fix = _setting("appendonly", "yes")
    if facts.appends:
        yield _appending(facts)
    elif facts.snapshots == "":
        yield problem("persistence", "nothing is written to disk: a restart loses all events and jobs", fix)
    else:
        lost = f"{number(facts.unsaved_changes)} changes since the last snapshot {age(facts.snapshot_age_s * 1000)} ago"
        yield warning("persistence", f"only snapshots are written: a crash now loses {lost}", fix)
    if not facts.append_works:
        yield problem("persistence", "the last write to the append-only file failed", "df -h")
    if not facts.snapshot_works:
        yield problem("persistence", "the last snapshot failed", _redis_cli("BGSAVE"))


def _appending(facts: ServerFacts) -> Finding:
    if facts.fsync == "always":
        return ok("persistence", "every write is on disk before it is acknowledged: a crash loses nothing")
    if facts.fsync == "no":
        words = "the operating system decides when writes reach the disk: a power failure loses about 30 seconds"
        return warning("persistence", words, _setting("appendfsync", "everysec"))
    if facts.fsync is None:
        return ok("persistence", "writes are appended to a file; the user may not read how often it is synced")
    return ok("persistence", "writes are synced every second: a power failure loses up to 2 seconds")


def clock_finding(ahead_ms: int) -> Finding:
    """Check whether the server's clock and ours agree."""
    if abs(ahead_ms) <= SKEW_MS:
        return ok("clock", f"this machine's clock and the server's differ by {abs(ahead_ms)} ms")
    direction = "ahead of" if ahead_ms > 0 else "behind"
    words = (
        f"the server's clock is {age(abs(ahead_ms))} {direction} this machine's: ages and delays are off by that much"
    )
    return problem("clock", words, "timedatectl set-ntp true")


def ability_findings(abilities: CommandProbeResult, *, user: str, roles: Sequence[str]) -> Iterator[Finding]:
    """Check which commands the server lacks, and which the user may not call."""
    who = " or ".join(roles)
    if abilities.missing:
        words = f"the server does not have {', '.join(abilities.missing)}, which a {who} needs"
        yield problem("abilities", words, "install Redis 7.0 or Valkey 7.2 or newer")
    else:
        yield ok("abilities", f"the server has every command that a {who} needs")
    if abilities.closed_key:
        words = f"the user {user} may not touch keys as {abilities.closed_key}, so not everything could be checked"
        pattern = f"{abilities.closed_key.partition('domainstream-doctor:')[0]}*"
        yield warning("permissions", words, _redis_cli("ACL", "SETUSER", user, f"~{pattern}"))
    if abilities.forbidden:
        words = f"the user {user} may not call {', '.join(abilities.forbidden)}, which a {who} needs"
        granted = [f"+{name}" for name in abilities.forbidden]
        yield problem("permissions", words, _redis_cli("ACL", "SETUSER", user, *granted))
    elif not abilities.closed_key:
        yield ok("permissions", f"the user {user} may do everything that a {who} needs")


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
    read = {group.channel for group in known if wanted in (None, group.group)}
    unread = [stream.channel for stream in streams if stream.channel not in read]
    for channel in unread:
        missing = f"the group {wanted} does not read {channel}" if wanted else f"no group reads {channel}"
        command = _redis_cli("XGROUP", "CREATE", stream_key(channel, prefix), wanted or "domain-events", "0")
        yield problem("groups", f"{missing}: its events are lost when their retention ends", command)
    for group in known:
        if group.lost:
            name = printable(group.group)
            words = f"{number(group.lost)} entries were removed from {group.channel} before {name} read them"
            yield warning("groups", words, f"domainstream groups {group.channel}")
    if not unread:
        yield ok("groups", "every channel is read by " + (f"the group {wanted}" if wanted else "a group"))


def dead_letter_findings(states: Sequence[DeadLetterState]) -> Iterator[Finding]:
    """Check which channels have dead letters."""
    for state in states:
        words = f"{state.channel} has {plural(state.letters, 'dead letter')}"
        yield warning("dead letters", words, f"domainstream dead-letters ls {state.channel}")
    if not states:
        yield ok("dead letters", "there are none")


def _redis_cli(*words: str) -> str:
    """Return a command for the diagnosed server, quoted for a shell."""
    return f'redis-cli -u "$REDIS_URL" {shlex.join(words)}'


def _setting(name: str, value: str) -> str:
    return _redis_cli("CONFIG", "SET", name, value)
