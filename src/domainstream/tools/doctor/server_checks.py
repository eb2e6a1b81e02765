"""The doctor's checks of the server itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from domainstream.errors import ServerError
from domainstream.redis.topology import Address, TopologyKind
from domainstream.settings import RetryPolicy
from domainstream.stream.inspection.commands import CommandProbeResult
from domainstream.stream.inspection.server import ServerFacts
from domainstream.tools.common.formatting import age, number, plural
from domainstream.tools.doctor.finding import (
    REDIS_CLI,
    Finding,
    command,
    ok,
    problem,
    redis_cli,
    redis_cli_at,
    redis_cli_at_each,
    warning,
)

SKEW_MS: Final = 1000
"""A larger difference between clocks makes ages, delays and the order of a trace wrong."""

FULL: Final = 0.9
"""The share of `maxmemory` above which memory counts as full."""

HELD: Final = 0.5
"""The share of `maxmemory` above which unread entries are a warning."""


FAILOVER_MS: Final = 5000
"""A primary that may be silent for longer is replaced so late that publishers may have given up."""

ENTRY_OVERHEAD: Final = 100
"""How many bytes replicas get for an entry besides its own, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """What the checks of a server need to know about those around it."""

    user: str = "default"
    """The user as whom we are connected."""

    kind: TopologyKind = TopologyKind.SINGLE
    """How the servers work together."""

    primary_name: str = ""
    """The name by which sentinels know the primary."""

    sentinel: str = ""
    """A shell command that reaches a sentinel."""

    entry_bytes: int = 0
    """How many bytes an entry of a stream takes on average; 0 if that is not known."""


def merged(found: Mapping[Address, Sequence[Finding]]) -> Iterator[Finding]:
    """Yield the findings of several nodes, by check: what all of them have once, the rest for each node."""
    checks = dict.fromkeys(finding.check for findings in found.values() for finding in findings)
    for check in checks:
        for address, findings in found.items():
            for finding in findings:
                if finding.check != check:
                    continue
                if not all(finding in others for others in found.values()):
                    fix = finding.fix.replace(REDIS_CLI, redis_cli_at(address))
                    yield replace(finding, node=str(address), fix=fix)
                elif address == next(iter(found)):
                    yield replace(finding, fix=finding.fix.replace(REDIS_CLI, redis_cli_at_each(address)))


def server_findings(facts: ServerFacts | ServerError | None, deployment: Deployment) -> Iterator[Finding]:
    """Check the kind of server, and how it keeps data."""
    if isinstance(facts, ServerError):
        yield problem("server", f"it does not answer: {facts}", redis_cli("CLUSTER", "NODES"))
        return
    if facts is None:
        words = "the user may not call INFO, so version, memory and persistence are unknown"
        yield warning("server", words, redis_cli("ACL", "SETUSER", deployment.user, "+info"))
        return
    yield _kind(facts, deployment)
    if facts.eviction in (None, "noeviction"):
        yield ok("eviction", "when memory is full, writes are rejected and nothing is evicted")
    else:
        words = f"maxmemory-policy is {facts.eviction}: when memory is full, whole streams and queues are evicted"
        yield problem("eviction", words, _setting("maxmemory-policy", "noeviction"))
    yield _memory(facts)
    yield from _persistence(facts)
    if facts.replicas or deployment.kind is not TopologyKind.SINGLE:
        yield _replication(facts, deployment)
    if (facts.down_after_ms or 0) > FAILOVER_MS:
        yield _failover(facts, deployment)
    if deployment.kind is TopologyKind.SENTINEL and facts.name == "Valkey" and int(facts.version.partition(".")[0]) > 8:
        planned = f"SENTINEL FAILOVER {deployment.primary_name} COORDINATED"
        yield ok("failover", f"a planned failover loses nothing with: {planned}")


def _kind(facts: ServerFacts, deployment: Deployment) -> Finding:
    name = f"{facts.name} {facts.version}"
    if facts.cluster and deployment.kind is not TopologyKind.CLUSTER:
        words = f"{name} is a node of a cluster, and the URL is that of a single server"
        return problem("server", words, "export REDIS_URL=redis+cluster://<some nodes of the cluster>:6379")
    if facts.primary:
        words = f"{name} is a replica, which accepts no writes"
        return problem("server", words, f"export REDIS_URL=redis://{facts.primary}")
    return ok("server", name)


def _replication(facts: ServerFacts, deployment: Deployment) -> Finding:
    if not facts.replicas:
        words = "no replica is connected: when the primary fails, nothing replaces it, and its data may be lost"
        return warning("replication", words, redis_cli("INFO", "replication"))
    words = f"{plural(facts.replicas, 'replica')}; a failover now loses {number(facts.replica_lag)} bytes of changes"
    if facts.replica_lag and deployment.entry_bytes:
        entries = facts.replica_lag // (deployment.entry_bytes + ENTRY_OVERHEAD)
        words = f"{words}, at most about {plural(entries, 'entry', 'entries')}"
    if facts.min_replicas != "0":
        return ok("replication", words)
    words = f"{words}, and all that a primary which is cut off takes meanwhile: it takes writes without any replica"
    return warning("replication", words, _setting("min-replicas-to-write", "1"))


def _failover(facts: ServerFacts, deployment: Deployment) -> Finding:
    words = (
        f"a primary that does not answer is replaced after {age(facts.down_after_ms)}: publishers may have given up by "
        f"then, after {age(round(RetryPolicy().deadline.total_seconds() * 1000))} by default"
    )
    if deployment.kind is TopologyKind.CLUSTER:
        return warning("failover", words, _setting("cluster-node-timeout", str(FAILOVER_MS)))
    setting = f"SENTINEL SET {deployment.primary_name} down-after-milliseconds {FAILOVER_MS}"
    return warning("failover", words, f"{deployment.sentinel} {setting}")


def _memory(facts: ServerFacts) -> Finding:
    used = f"{number(facts.used_memory)} bytes used"
    if not facts.max_memory:
        words = f"{used}, without a limit: events that no subscriber reads would take all memory of the machine"
        return warning("memory", words, _setting("maxmemory", str(max(1 << 30, 4 * facts.used_memory))))
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
        yield problem("persistence", "the last snapshot failed", redis_cli("BGSAVE"))


def _appending(facts: ServerFacts) -> Finding:
    if facts.fsync == "always":
        return ok("persistence", "every write is on disk before it is acknowledged: a crash loses nothing")
    if facts.fsync == "no":
        words = "the operating system decides when writes reach the disk: a power failure loses about 30 seconds"
        return warning("persistence", words, _setting("appendfsync", "everysec"))
    if facts.fsync is None:
        return ok("persistence", "writes are appended to a file; the user may not read how often it is synced")
    return ok("persistence", "writes are synced every second: a power failure loses up to 2 seconds")


def unread_memory_finding(facts: ServerFacts | ServerError | None, unread: Mapping[str, int]) -> Finding:
    """Check how much memory entries take that wait for a group; `unread` has about how many bytes on which channel."""
    total, most = sum(unread.values()), max(unread, key=unread.__getitem__, default="")
    words = f"unread entries take about {number(total)} bytes, most of them in {most}" if most else "no entry is unread"
    if not isinstance(facts, ServerFacts) or not facts.max_memory:
        return ok("unread", words)
    left = max(0, facts.max_memory - facts.used_memory)
    words = f"{words}; {number(left)} bytes are left until publishers are rejected"
    if total > facts.max_memory * HELD or total > left:
        return warning("unread", words, command("groups", "ls", most))
    return ok("unread", words)


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
    who = f"the role {roles[0]} needs" if len(roles) == 1 else f"the roles {', '.join(roles)} need"
    if abilities.missing:
        words = f"the server does not have {', '.join(abilities.missing)}, which {who}"
        yield problem("abilities", words, "install Redis 7.0 or Valkey 7.2 or newer")
    else:
        yield ok("abilities", f"the server has every command that {who}")
    if abilities.closed_keys:
        # On a cluster, several keys have the same beginning.
        begins = {key.partition("domainstream-doctor:")[0]: key for key in abilities.closed_keys}
        keys = ", ".join(begins.values())
        words = f"the user {user} may not touch keys as {keys}, so not everything could be checked"
        yield warning("permissions", words, redis_cli("ACL", "SETUSER", user, *(f"~{begin}*" for begin in begins)))
    if abilities.forbidden:
        words = f"the user {user} may not call {', '.join(abilities.forbidden)}, which {who}"
        granted = [f"+{name}" for name in abilities.forbidden]
        if "subscribe" in abilities.forbidden:  # to the channel that names keys which change
            granted.append("&__redis__:invalidate")
        yield problem("permissions", words, redis_cli("ACL", "SETUSER", user, *granted))
    elif not abilities.closed_keys:
        yield ok("permissions", f"the user {user} may do everything that {who}")


def _setting(name: str, value: str) -> str:
    return redis_cli("CONFIG", "SET", name, value)
