"""Asks servers what they are, how they persist data, and what their clocks say; rejects one that would evict keys."""

import re
import time
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from domainstream.errors import ServerError
from domainstream.redis.link import RedisLink
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import Address, TopologyKind
from domainstream.telemetry import Signal, emit
from domainstream.validation import raise_problems

CLOCK_SAMPLES: Final = 5

SENTINEL_TIMEOUT: Final = 1.0
"""Seconds that a sentinel has for its answer."""

SAFE: Final = "noeviction"
"""The `maxmemory-policy` with which a server rejects writes when its memory is full, instead of evicting keys."""


class ServerFacts(Struct, frozen=True, kw_only=True):
    """What a server says about itself; None for what it does not say."""

    name: str
    """`Redis` or `Valkey`."""

    version: str
    """The version of that product."""

    cluster: bool
    """Whether it is a node of a cluster."""

    primary: str | None
    """Where its primary is, as `host:port`, when it is a replica."""

    eviction: str | None
    """Its `maxmemory-policy`: what happens when the memory is full."""

    max_memory: int
    """How many bytes it may use for data; 0 without a limit."""

    used_memory: int
    """How many bytes it uses."""

    appends: bool
    """Whether it appends each change to a file (`appendonly`)."""

    append_works: bool
    """Whether the last append succeeded."""

    fsync: str | None
    """How often that file is synced to disk: `always`, `everysec` or `no`."""

    snapshots: str | None
    """When it writes a snapshot, as `3600 1 300 100`; empty for never."""

    snapshot_works: bool
    """Whether the last snapshot succeeded."""

    unsaved_changes: int
    """How many changes were made since the last snapshot."""

    snapshot_age_s: int
    """How many seconds ago the last snapshot was made."""

    replicas: int = 0
    """How many replicas follow it."""

    replica_lag: int = 0
    """How many bytes of changes even the most advanced of them lacks."""

    min_replicas: str | None = None
    """How many replicas must follow for it to take writes (`min-replicas-to-write`)."""

    down_after_ms: int | None = None
    """How long it may be silent before a replica replaces it (`cluster-node-timeout`, `down-after-milliseconds`)."""


class RedisServerInspection:
    """What the servers are, and what their clocks say: of a cluster, each primary.

    For one task. Raises the same errors as `StreamReader`.
    """

    def __init__(self, client: Redis | RedisNodes) -> None:
        """Ask through `client`, which the caller closes."""
        self._nodes = RedisNodes.of(client)

    async def facts(self) -> dict[Address, ServerFacts | ServerError | None]:
        """Return what each server says about itself; None where the user may not run INFO.

        For a node of a cluster that does not answer it is the error.
        """
        return await self._nodes.try_each(self._facts)

    async def clocks_ahead_ms(self) -> dict[Address, int]:
        """Return by how many milliseconds each server's clock is ahead of ours; negative when it is behind.

        The fastest of several replies counts, since its round trip blurs the result the least. Left out are nodes that
        do not answer, and where the user may not run TIME.
        """
        clocks = await self._nodes.try_each(_clock_ahead_ms)
        return {address: ahead for address, ahead in clocks.items() if isinstance(ahead, int)}

    async def _facts(self, redis: Redis) -> ServerFacts | None:
        info = await _reply(redis.info)
        if info is None:
            return None
        seconds, _ = await _reply(redis.time) or (int(time.time()), 0)
        valkey = info.get("server_name") == "valkey"
        replica = info.get("role") == "slave"
        offsets = [
            int(value["offset"])
            for key, value in info.items()
            if re.fullmatch(r"slave\d+", key) and value.get("state") == "online"
        ]
        return ServerFacts(
            name="Valkey" if valkey else "Redis",
            version=str(info.get("valkey_version" if valkey else "redis_version", "")),
            cluster=bool(info.get("cluster_enabled")),
            primary=f"{info.get('master_host')}:{info.get('master_port')}" if replica else None,
            eviction=info.get("maxmemory_policy"),
            max_memory=info.get("maxmemory", 0),
            used_memory=info.get("used_memory", 0),
            appends=bool(info.get("aof_enabled")),
            append_works=info.get("aof_last_write_status", "ok") == "ok",
            fsync=await _setting(redis, "appendfsync"),
            snapshots=await _setting(redis, "save"),
            snapshot_works=info.get("rdb_last_bgsave_status", "ok") == "ok",
            unsaved_changes=info.get("rdb_changes_since_last_save", 0),
            snapshot_age_s=max(0, int(seconds) - info.get("rdb_last_save_time", 0)),
            replicas=len(offsets),
            replica_lag=max(0, info.get("master_repl_offset", 0) - max(offsets)) if offsets else 0,
            min_replicas=await _setting(redis, "min-replicas-to-write"),
            down_after_ms=await self._down_after_ms(redis),
        )

    async def _down_after_ms(self, redis: Redis) -> int | None:
        if self._nodes.is_cluster:
            node_timeout = await _setting(redis, "cluster-node-timeout")
            return None if node_timeout is None else int(node_timeout)
        topology = self._nodes.topology
        if topology is None or topology.kind is not TopologyKind.SENTINEL:
            return None
        for sentinel in topology.seeds:
            link = RedisLink.from_url(topology.sentinel_url_of(sentinel))
            (state,) = await link.exchange(("SENTINEL", "MASTER", topology.primary_name), seconds=SENTINEL_TIMEOUT)
            await link.close()
            if not isinstance(state, Exception):
                return int(dict(zip(state[::2], state[1::2], strict=True))[b"down-after-milliseconds"])
        return None


async def _clock_ahead_ms(redis: Redis) -> int | None:
    samples = []
    for _ in range(CLOCK_SAMPLES):
        began, monotonic = time.time(), time.monotonic()
        if (answer := await _reply(redis.time)) is None:
            return None
        seconds, microseconds = answer
        took = time.monotonic() - monotonic
        samples.append((took, int(seconds) + int(microseconds) / 1_000_000 - began - took / 2))
    return round(min(samples)[1] * 1000)


async def _setting(redis: Redis, name: str) -> str | None:
    found = await _reply(redis.config_get, name)
    return None if found is None else found.get(name)


async def _reply(command: Any, *arguments: Any) -> Any:
    """Return the reply of a command; None where the user may not run it, or the server does not have it."""
    try:
        return await command(*arguments)
    except NoPermissionError:
        return None
    except ResponseError as error:
        # Managed servers disable commands.
        if "unknown command" in str(error).lower():
            return None
        raise


async def check_eviction_at(url: str) -> None:
    """Do `check_eviction` over connections of its own."""
    async with RedisNodes.open(url) as nodes:
        await check_eviction(nodes)


async def check_eviction(client: Redis | RedisNodes) -> None:
    """Raise `ConfigurationError` unless servers refuse writes when their memory is full, instead of evicting keys.

    Of a cluster, each primary is asked. Where the user may not run INFO, a warning is logged instead. Raises the errors
    of `StreamReader` when a server does not answer.
    """
    for address, policy in (await RedisNodes.of(client).each(_policy)).items():
        if policy is None:
            reason = "the user may not call INFO; make sure that maxmemory-policy is noeviction"
            emit(Signal.STREAM_EVICTION_UNKNOWN, reason=reason)
            continue
        problem = (
            f"its maxmemory-policy is {policy}, so that it may evict whole streams and jobs when its memory is full; "
            f"run: redis-cli CONFIG SET maxmemory-policy {SAFE}"
        )
        raise_problems(f"The server at {address}", [None if policy == SAFE else problem])


async def _policy(redis: Redis) -> str | None:
    try:
        memory: dict[str, Any] = await redis.info("memory")
    except NoPermissionError:
        return None
    return str(memory.get("maxmemory_policy", SAFE))
