"""Trims streams that nobody writes to, exactly by age. Implements `port.MaintenanceTask`.

A publisher trims with each batch, by whole nodes: a quiet stream would keep its last entries for ever.
"""

import secrets
from collections.abc import Iterable
from datetime import timedelta
from importlib.resources import files
from typing import Any, Final, Self

from redis.asyncio import Redis

from domainstream.publisher import Retention
from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import companion_key, stream_key
from domainstream.validation import positive, raise_problems

SCRIPT: Final = files("domainstream.stream.maintenance").joinpath("trim_stream.lua").read_text(encoding="utf-8")

LOCK_TIME: Final = timedelta(seconds=10)
"""How long others wait for a janitor that has died in the middle of a stream; each step begins it anew."""

ENTRIES_PER_STEP: Final = 10_000
"""So many entries go in one step, which takes the server about a millisecond."""

EVERY: Final = timedelta(minutes=1)


class RedisStreamTrimmer:
    """Applies a `Retention` to streams, by the server's clock, as publishers do.

    An entry older than `max_age` goes within `every`, unless some group has not read or not acknowledged it; then it
    goes when it is older than `max_unread_age`. Any number of janitors may run: a stream is trimmed by one at a time.
    """

    def __init__(
        self,
        client: Redis,
        channels: Iterable[str],
        *,
        retention: Retention,
        prefix: str = "",
        every: timedelta = EVERY,
    ) -> None:
        """Trim the streams of `channels` through `client`, which is then owned.

        Raises `ConfigurationError` when `every` is not above zero.
        """
        raise_problems("RedisStreamTrimmer", [positive("every", every, timedelta)])
        self.retention = retention
        """What may go; give the one that the publishers have."""
        self.every = every
        """The pause between two rounds."""
        self._client = client
        self._keys = [stream_key(channel, prefix) for channel in channels]
        self._trim: Any = client.register_script(SCRIPT)
        limits = [retention.max_age, retention.max_unread_age]
        self._limits = [*map(_milliseconds, limits), "" if retention.max_length is None else retention.max_length]

    @classmethod
    def from_url(
        cls, url: str, channels: Iterable[str], *, retention: Retention, prefix: str = "", every: timedelta = EVERY
    ) -> Self:
        """Return a janitor with a connection of its own; the constructor says what the rest means."""
        client = connect(url)
        return cls(client, channels, retention=retention, prefix=prefix, every=every)

    async def run_once(self) -> None:
        """Trim each stream, in steps, unless another janitor is at it; see `port.MaintenanceTask.run_once`."""
        token = secrets.token_hex(8)
        for key in self._keys:
            with translated_errors(self._client):
                while await self._step(key, token) > 0:
                    pass

    async def close(self) -> None:
        """Close the connection; see `port.MaintenanceTask.close`."""
        await self._client.aclose()

    async def _step(self, key: str, token: str) -> int:
        lock = companion_key(key, "janitor")
        arguments = [token, _milliseconds(LOCK_TIME), *self._limits, ENTRIES_PER_STEP]
        gone: int = await self._trim(keys=[key, lock], args=arguments)
        return gone


def _milliseconds(duration: timedelta | None) -> int | str:
    return "" if duration is None else max(1, round(duration / timedelta(milliseconds=1)))
