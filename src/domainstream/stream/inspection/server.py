"""Asks a server what it is, how it persists data, and what its clock says; rejects one that would evict keys."""

import re
import time
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.telemetry import Signal, emit
from domainstream.validation import raise_problems

CLOCK_SAMPLES: Final = 5

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


class RedisServerInspection:
    """What a server is, and what its clock says.

    For one task. Raises the same errors as `StreamReader`.
    """

    def __init__(self, client: Redis) -> None:
        """Ask through `client`, which the caller closes."""
        self._client = client

    async def facts(self) -> ServerFacts | None:
        """Return what the server says about itself; None where the user may not run INFO."""
        info = await self._reply(self._client.info)
        if info is None:
            return None
        seconds, _ = await self._reply(self._client.time) or (int(time.time()), 0)
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
            cluster=info.get("redis_mode") == "cluster",
            primary=f"{info.get('master_host')}:{info.get('master_port')}" if replica else None,
            eviction=info.get("maxmemory_policy"),
            max_memory=info.get("maxmemory", 0),
            used_memory=info.get("used_memory", 0),
            appends=bool(info.get("aof_enabled")),
            append_works=info.get("aof_last_write_status", "ok") == "ok",
            fsync=await self._setting("appendfsync"),
            snapshots=await self._setting("save"),
            snapshot_works=info.get("rdb_last_bgsave_status", "ok") == "ok",
            unsaved_changes=info.get("rdb_changes_since_last_save", 0),
            snapshot_age_s=max(0, int(seconds) - info.get("rdb_last_save_time", 0)),
            replicas=len(offsets),
            replica_lag=max(0, info.get("master_repl_offset", 0) - max(offsets)) if offsets else 0,
            min_replicas=await self._setting("min-replicas-to-write"),
        )

    async def clock_ahead_ms(self) -> int:
        """Return by how many milliseconds the server's clock is ahead of ours; negative when it is behind.

        The fastest of several replies counts, since its round trip blurs the result the least.
        """
        samples = []
        for _ in range(CLOCK_SAMPLES):
            began, monotonic = time.time(), time.monotonic()
            with translated_errors(self._client):
                seconds, microseconds = await self._client.time()
            took = time.monotonic() - monotonic
            samples.append((took, int(seconds) + int(microseconds) / 1_000_000 - began - took / 2))
        return round(min(samples)[1] * 1000)

    @property
    def user(self) -> str:
        """The user as whom we are connected."""
        return str(self._client.connection_pool.connection_kwargs.get("username") or "default")

    async def _setting(self, name: str) -> str | None:
        found = await self._reply(self._client.config_get, name)
        return None if found is None else found.get(name)

    async def _reply(self, command: Any, *arguments: Any) -> Any:
        """Return the reply of a command; None where the user may not run it, or the server does not have it."""
        with translated_errors(self._client):
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
    """Do `check_eviction` over a connection of its own."""
    client = connect(url)
    try:
        await check_eviction(client)
    finally:
        await client.aclose()


async def check_eviction(client: Redis) -> None:
    """Raise `ConfigurationError` unless the server refuses writes when its memory is full, instead of evicting keys.

    Where the user may not run INFO, a warning is logged instead. Raises the errors of `StreamReader` when the server
    does not answer.
    """
    with translated_errors(client):
        try:
            memory: dict[str, Any] = await client.info("memory")
        except NoPermissionError:
            reason = "the user may not call INFO; make sure that maxmemory-policy is noeviction"
            emit(Signal.STREAM_EVICTION_UNKNOWN, reason=reason)
            return
    policy = str(memory.get("maxmemory_policy", SAFE))
    problem = (
        f"its maxmemory-policy is {policy}, so that it may evict whole streams and jobs when its memory is full; "
        f"run: redis-cli CONFIG SET maxmemory-policy {SAFE}"
    )
    raise_problems("The server", [None if policy == SAFE else problem])
