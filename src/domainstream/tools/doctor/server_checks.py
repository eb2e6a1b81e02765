"""What the doctor says of the server itself."""

from collections.abc import Iterator, Sequence
from typing import Final

from domainstream.cli.common.formatting import age, number
from domainstream.stream.inspection.commands import CommandProbeResult
from domainstream.stream.inspection.server import ServerFacts
from domainstream.tools.doctor.finding import Finding, ok, problem, redis_cli, warning

SKEW_MS: Final = 1000
"""Clocks that differ by more make ages, delays and the order of a trace wrong."""

FULL: Final = 0.9


def server_findings(facts: ServerFacts | None, *, user: str) -> Iterator[Finding]:
    """Say what the server is, and how it keeps data."""
    if facts is None:
        words = "the user may not call INFO, so version, memory and persistence are unknown"
        yield warning("server", words, redis_cli("ACL", "SETUSER", user, "+info"))
        return
    yield _kind(facts)
    yield _eviction(facts)
    yield from _memory(facts)
    yield _persistence(facts)
    yield from _failed_writes(facts)


def _kind(facts: ServerFacts) -> Finding:
    name = f"{facts.name} {facts.version}"
    if facts.cluster:
        words = f"{name} is a node of a cluster; domainstream works with one server"
        return problem("server", words, "export REDIS_URL=redis://<a server outside of the cluster>:6379")
    if facts.primary:
        words = f"{name} is a replica, which takes no writes"
        return problem("server", words, f"export REDIS_URL=redis://{facts.primary}")
    return ok("server", name)


def _eviction(facts: ServerFacts) -> Finding:
    if facts.eviction in (None, "noeviction"):
        return ok("eviction", "when the memory is full, writes are refused and nothing is thrown away")
    words = f"maxmemory-policy is {facts.eviction}: when the memory is full, whole streams and queues are thrown away"
    return problem("eviction", words, _setting("maxmemory-policy", "noeviction"))


def _memory(facts: ServerFacts) -> Iterator[Finding]:
    used = f"{number(facts.used_memory)} bytes are used"
    if not facts.max_memory:
        yield ok("memory", f"{used}, there is no limit")
    elif facts.used_memory > facts.max_memory * FULL:
        words = f"{used} of {number(facts.max_memory)}: when it is full, nothing can be published"
        yield problem("memory", words, _setting("maxmemory", str(facts.max_memory * 2)))
    else:
        yield ok("memory", f"{used} of {number(facts.max_memory)}")


def _persistence(facts: ServerFacts) -> Finding:
    if facts.appends:
        return _appending(facts)
    mend = _setting("appendonly", "yes")
    if facts.snapshots == "":
        return problem("persistence", "nothing is written to disk: a restart loses all events and jobs", mend)
    lost = f"{number(facts.unsaved_changes)} changes since the last snapshot {age(facts.snapshot_age_s * 1000)} ago"
    return warning("persistence", f"only snapshots are kept: a crash now loses {lost}", mend)


def _appending(facts: ServerFacts) -> Finding:
    if facts.fsync == "always":
        return ok("persistence", "each change is on disk before it is answered: a crash loses nothing")
    if facts.fsync == "no":
        words = "the system decides when changes go to disk: a power failure loses half a minute or so"
        return warning("persistence", words, _setting("appendfsync", "everysec"))
    if facts.fsync is None:
        return ok("persistence", "changes are appended to a file; how often that goes to disk may not be asked")
    return ok("persistence", "changes go to disk each second: a power failure loses up to 2 seconds")


def _failed_writes(facts: ServerFacts) -> Iterator[Finding]:
    if not facts.append_works:
        yield problem("persistence", "the last write to the append-only file failed", "df -h")
    if not facts.snapshot_works:
        yield problem("persistence", "the last snapshot failed", redis_cli("BGSAVE"))


def clock_finding(ahead_ms: int) -> Finding:
    """Say whether the server's clock and ours agree."""
    if abs(ahead_ms) <= SKEW_MS:
        return ok("clock", f"this machine's clock and the server's differ by {abs(ahead_ms)} ms")
    direction = "ahead of" if ahead_ms > 0 else "behind"
    words = f"the server's clock is {age(abs(ahead_ms))} {direction} this machine's: ages and delays are wrong by that"
    return problem("clock", words, "timedatectl set-ntp true")


def ability_findings(abilities: CommandProbeResult, *, user: str, roles: Sequence[str]) -> Iterator[Finding]:
    """Say what the server does not have, and what the user may not do."""
    who = " or ".join(roles)
    if abilities.missing:
        words = f"the server does not have {', '.join(abilities.missing)}, which a {who} needs"
        yield problem("abilities", words, "install Redis 7.0 or Valkey 7.2 or newer")
    else:
        yield ok("abilities", f"the server has every command that a {who} needs")
    if abilities.closed_key:
        words = f"the user {user} may not touch keys as {abilities.closed_key}, so not all could be tried"
        pattern = f"{abilities.closed_key.partition('domainstream-doctor:')[0]}*"
        yield warning("permissions", words, redis_cli("ACL", "SETUSER", user, f"~{pattern}"))
    if abilities.forbidden:
        words = f"the user {user} may not call {', '.join(abilities.forbidden)}, which a {who} needs"
        granted = [f"+{name}" for name in abilities.forbidden]
        yield problem("permissions", words, redis_cli("ACL", "SETUSER", user, *granted))
    elif not abilities.closed_key:
        yield ok("permissions", f"the user {user} may do all that a {who} needs")


def _setting(name: str, value: str) -> str:
    return redis_cli("CONFIG", "SET", name, value)
