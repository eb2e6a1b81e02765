"""Trims quiet streams, exactly by age. Implements `MaintenanceTask`.

A publisher trims with each batch, by whole nodes: a stream that is no longer written to would keep its last entries
forever.
"""

import asyncio
import secrets
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final, Self

from redis.asyncio import Redis

from domainstream.errors import ServerUnavailableError
from domainstream.publisher import Retention
from domainstream.publisher.index_records import INDEX, index_keys
from domainstream.publisher.retention import RETENTION, milliseconds, retention_arguments
from domainstream.redis.keys import companion_key, stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.scripts import Script, lua_text
from domainstream.validation import positive, raise_problems

SCRIPT: Final = Script.of(lua_text("domainstream.stream.maintenance", "trim_stream", retention=RETENTION, index=INDEX))

LOCK_TIME: Final = timedelta(seconds=10)
"""How long other trimmers wait for one that died in the middle of a stream; each step renews the lock."""

ENTRIES_PER_STEP: Final = 10_000
"""How many entries one step removes, which takes the server about a millisecond."""

EVERY: Final = timedelta(minutes=1)


class RedisStreamTrimmer:
    """Applies a `Retention` to streams, by the server's clock, as publishers do.

    An entry older than `max_age` is removed within `every`, unless some group has not read or not acknowledged it; then
    it is removed when it is older than `max_unread_age`. Any number of trimmers may run: a stream is trimmed by one at
    a time.
    """

    def __init__(
        self,
        client: Redis | RedisNodes,
        channels: Iterable[str],
        *,
        retention: Retention,
        prefix: str = "",
        every: timedelta = EVERY,
    ) -> None:
        """Trim the streams of `channels` through `client`, which the caller closes.

        Raises `ConfigurationError` when `every` is not above zero.
        """
        raise_problems("RedisStreamTrimmer", [positive("every", every, timedelta)])
        self.retention = retention
        """What may be removed; use the publishers' own."""
        self.every = every
        """The pause between two rounds."""
        self._nodes = RedisNodes.of(client)
        self._keys = [stream_key(channel, prefix) for channel in channels]
        self._limits = retention_arguments(retention)
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(
        cls, url: str, channels: Iterable[str], *, retention: Retention, prefix: str = "", every: timedelta = EVERY
    ) -> Self:
        """Return a trimmer that owns its connection; the constructor says what the rest means."""
        nodes = RedisNodes.open(url)
        trimmer = cls(nodes, channels, retention=retention, prefix=prefix, every=every)
        trimmer._owned.push_async_callback(nodes.close)
        return trimmer

    async def run_once(self) -> None:
        """Trim each stream, in steps, unless another trimmer works on it; see `MaintenanceTask.run_once`."""
        token = secrets.token_hex(8)
        problem: ServerUnavailableError | None = None
        for key in self._keys:
            try:
                while await self._step(key, token) > 0:  # noqa: ASYNC110 - it is not waiting for anything
                    # A subscriber's tasks share one connection, and redis-py's pool would give it back to this one.
                    await asyncio.sleep(0)
            except ServerUnavailableError as error:
                if not self._nodes.is_cluster:
                    raise
                problem = problem or error  # the other nodes' streams are trimmed nevertheless
        if problem is not None:
            raise problem

    async def close(self) -> None:
        """Close the connections that it owns; see `MaintenanceTask.close`."""
        await self._owned.aclose()

    async def _step(self, key: str, token: str) -> int:
        keys = [key, companion_key(key, "janitor"), *index_keys(key)]
        arguments = (token, milliseconds(LOCK_TIME), *self._limits, ENTRIES_PER_STEP)
        return int(await self._nodes.call(SCRIPT, keys, *arguments))
