"""Diagnoses a server, its streams and its queues: reads the facts, and lets each check judge them."""

import dataclasses
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from domainstream.errors import ServerError, ServerRefusedError, ServerUnavailableError
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.bullmq.order import BullMQOrder
from domainstream.redis.keys import stream_key
from domainstream.redis.topology import Address, TopologyKind
from domainstream.stream import StreamState
from domainstream.stream.inspection.commands import ROLES, RedisCommandProbe
from domainstream.stream.inspection.server import RedisServerInspection, ServerFacts
from domainstream.tools.common.server import RedisServer
from domainstream.tools.doctor.finding import REDIS_CLI, Finding, command, ok, redis_cli_at, redis_cli_at_each, warning
from domainstream.tools.doctor.flow_checks import (
    GroupProgress,
    dead_letter_findings,
    group_findings,
    queue_findings,
    stream_findings,
    subscriptions_findings,
)
from domainstream.tools.doctor.order_checks import inspect_order
from domainstream.tools.doctor.partition_checks import partition_findings, read_layouts
from domainstream.tools.doctor.server_checks import (
    Deployment,
    ability_findings,
    clock_finding,
    merged,
    server_findings,
    unread_memory_finding,
)

Facts = Mapping[Address, ServerFacts | ServerError | None]
"""What each server says about itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiagnosisSettings:
    """What is asked of a server."""

    bull_prefix: str = "bull"
    """The prefix of all BullMQ keys."""

    group: str | None = None
    """The group that must read every channel; None for any group."""

    roles: Sequence[str] = ROLES
    """The roles whose permissions are checked."""

    limit_ms: int = 300_000
    """How old the oldest entry that a group has not settled may be, in milliseconds."""

    partitions: Mapping[str, int] = field(default_factory=dict)
    """Over how many streams the code spreads each channel, by its value; empty to compare with no code."""


async def diagnose(server: RedisServer, settings: DiagnosisSettings) -> list[Finding]:
    """Return what every check found, those of the server first. What the user may not read is a warning."""
    inspection = RedisServerInspection(server.nodes)
    facts = await inspection.facts()
    findings = [
        *await _server_findings(server, inspection, facts, settings),
        *await _readable("streams", _stream_findings(server, facts, settings)),
        *await _readable("partitions", _partition_findings(server, facts, settings.partitions)),
        *await _readable("subscriptions", _subscriptions_findings(server)),
        *await _readable("queues", _queue_findings(server, settings.bull_prefix)),
    ]
    if server.nodes.kind is TopologyKind.SINGLE:
        return findings
    # redis-cli knows neither URLs of sentinels nor of clusters.
    address = next(iter(facts))
    shell = (redis_cli_at_each if server.nodes.is_cluster else redis_cli_at)(address)
    return [replace(finding, fix=finding.fix.replace(REDIS_CLI, shell)) for finding in findings]


async def _server_findings(
    server: RedisServer,
    inspection: RedisServerInspection,
    facts: Facts,
    settings: DiagnosisSettings,
) -> list[Finding]:
    nodes = server.nodes
    deployment = Deployment(user=nodes.user, kind=nodes.kind, entry_bytes=await _entry_bytes(server, facts))
    if nodes.topology is not None and nodes.kind is TopologyKind.SENTINEL:
        name, sentinel = nodes.topology.primary_name, redis_cli_at(nodes.topology.seeds[0])
        deployment = dataclasses.replace(deployment, primary_name=name, sentinel=sentinel)
    dead, found = [], dict[Address, list[Finding]]()
    for address, one in facts.items():
        findings = [*server_findings(one, deployment)]
        if isinstance(one, ServerError):
            dead += [replace(finding, node=str(address)) for finding in findings]
        else:
            found[address] = findings
    for address, ahead_ms in (await inspection.clocks_ahead_ms()).items():
        found.setdefault(address, []).append(clock_finding(ahead_ms))
    each = merged(found) if nodes.is_cluster else (finding for findings in found.values() for finding in findings)
    return [*dead, *each, *await _readable("permissions", _ability_findings(server, settings))]


async def _ability_findings(server: RedisServer, settings: DiagnosisSettings) -> list[Finding]:
    roles = settings.roles
    probe = RedisCommandProbe(server.nodes, prefix=server.prefix, bull_prefix=settings.bull_prefix)
    abilities = await probe.probe(roles)
    return [*ability_findings(abilities, user=server.nodes.user, roles=roles)]


async def _entry_bytes(server: RedisServer, facts: Facts) -> int:
    """Return how many bytes an entry takes on average, if replicas lack any; 0 if the user may not look."""
    if not any(one.replica_lag for one in facts.values() if isinstance(one, ServerFacts)):
        return 0
    try:
        streams = [state for name in await server.streams.channels() if (state := await server.streams.stream(name))]
        size = sum([await server.streams.memory_bytes(stream.channel) for stream in streams])
    except ServerError:
        return 0
    return size // max(1, sum(stream.length for stream in streams))


async def _readable(what: str, findings: Awaitable[list[Finding]]) -> list[Finding]:
    """Return the findings, or one that says why `what` could not be read."""
    try:
        return await findings
    except ServerRefusedError as error:
        words = f"{what} could not be read: {error}"
        return [warning(what, words, "domainstream doctor --redis-url <the URL of a user who may read them>")]
    except ServerUnavailableError as error:
        return [warning(what, f"{what} could not be read: {error}", command("doctor"))]


async def _stream_findings(server: RedisServer, facts: Facts, settings: DiagnosisSettings) -> list[Finding]:
    dead_letters, limit_ms = server.dead_letters, settings.limit_ms
    streams = [stream for name in await server.streams.channels() if (stream := await server.streams.stream(name))]
    groups = [group for stream in streams for group in await _progress(server, stream.channel)]
    dead_states = [state for name in await dead_letters.channels() if (state := await dead_letters.state(name))]
    now = await server.streams.now_ms()
    if not streams and not dead_states:
        words = f"doctor found no stream {server.where}: nothing was published here, or database and prefix are others"
        return [warning("streams", words, command("doctor", "--redis-url", "URL", "--prefix", "PREFIX"))]
    unread: dict[Address, dict[str, int]] = {address: {} for address in facts}
    for stream in streams:
        if size := await _unread_bytes(server, stream, groups):
            address = await server.nodes.address_of(stream_key(stream.channel, server.prefix))
            unread.setdefault(address, {})[stream.channel] = size
    return [
        *stream_findings(streams, now_ms=now),
        *group_findings(streams, groups, wanted=settings.group, limit_ms=limit_ms, now_ms=now),
        *merged({address: [unread_memory_finding(facts.get(address), sizes)] for address, sizes in unread.items()}),
        *dead_letter_findings(dead_states),
    ]


async def _progress(server: RedisServer, channel: str) -> list[GroupProgress]:
    states = await server.groups.groups(channel)
    consumers = await server.groups.consumers(channel) if any(state.lag for state in states) else []
    # An instance whose queue takes no jobs reads nothing, but it is there.
    idle = [(one.group, 0 if one.owner else one.idle_ms) for one in consumers]
    return [
        GroupProgress(state=state, idle_ms=min((ms for group, ms in idle if group == state.group), default=None))
        for state in states
    ]


async def _unread_bytes(server: RedisServer, stream: StreamState, groups: Sequence[GroupProgress]) -> int:
    """Return about how many bytes the entries of a stream take that a group, or any group at all, has yet to settle."""
    lags = [group.state.lag for group in groups if group.state.channel == stream.channel]
    unread = min(stream.length, max(lags, default=stream.length))
    return await server.streams.memory_bytes(stream.channel) * unread // stream.length if unread else 0


async def _partition_findings(server: RedisServer, facts: Facts, partitions: Mapping[str, int]) -> list[Finding]:
    layouts = await read_layouts(server.nodes, partitions, prefix=server.prefix)
    known = [one for one in facts.values() if isinstance(one, ServerFacts)]
    can_move = all(one.name == "Valkey" and int(one.version.partition(".")[0]) > 8 for one in known)
    return [*partition_findings(layouts, primaries=facts, prefix=server.prefix, moves_slots=bool(known) and can_move)]


async def _subscriptions_findings(server: RedisServer) -> list[Finding]:
    channels = await server.streams.channels()
    leases = [lease for channel in channels for lease in await server.groups.leases(channel)]
    return [*subscriptions_findings(leases)]


async def _queue_findings(server: RedisServer, bull_prefix: str) -> list[Finding]:
    inspection = BullMQInspection(server.nodes, bull_prefix=bull_prefix)
    names = await inspection.queues()
    if not names:
        return [ok("queues", f"doctor found no queue below the prefix {bull_prefix}, and so no job")]
    now = await server.streams.now_ms()
    return [
        *queue_findings(
            [await inspection.state(name) for name in names],
            [jobs for name in names for jobs in await inspection.unhandled(name)],
            bull_prefix=bull_prefix,
            now_ms=now,
        ),
        *await inspect_order(
            BullMQOrder(server.nodes, bull_prefix=bull_prefix), names, bull_prefix=bull_prefix, now_ms=now
        ),
    ]
