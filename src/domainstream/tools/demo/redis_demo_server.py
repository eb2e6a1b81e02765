"""The demo's own requests to the server: its version, the lengths of streams, and the cleanup of the run."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from domainstream.errors import DomainStreamError, ServerUnavailableError
from domainstream.redis.connection import connect
from domainstream.redis.keys import stream_key

_TIMEOUT = timedelta(seconds=5)
_KEYS_AT_ONCE = 1000


class ServerWentAwayError(DomainStreamError):
    """The server stopped answering during the run."""


class RedisDemoServer:
    """The server of one run, over a connection of its own.

    Raises `ConfigurationError` for an invalid URL.
    """

    def __init__(self, url: str, run: str) -> None:
        self.run = run
        """The name of the run, which all of its keys and no others contain."""
        self._place = place_of(url)
        self._lengths: dict[str, int] = {}
        self._client: Any = connect(
            url, reply_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT.total_seconds(), decode_responses=True
        )

    async def describe(self) -> str:
        """Return the server's name and version; raise `ServerUnavailableError` when it does not answer."""
        try:
            info = await self._client.info("server")
        except (RedisError, OSError) as error:
            raise ServerUnavailableError(
                f"cannot use the server at {self._place}: {str(error).rstrip('.')}. "
                "Start it, or correct --redis-url or REDIS_URL; without both the demo starts a server of its own"
            ) from None
        if info.get("server_name") == "valkey":
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"

    async def check(self) -> None:
        """Raise `ServerWentAwayError` if the server no longer answers."""
        try:
            await self._client.ping()
        except (RedisError, OSError):
            raise ServerWentAwayError(
                f"The server at {self._place} went away while the demo was running.\n"
                "Check why it ended, start it if it is yours, and run again: domainstream demo"
            ) from None

    async def lengths(self, channels: Sequence[str]) -> dict[str, int]:
        """Return the length of each channel's stream; the last known lengths if the server does not answer."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for channel in channels:
                    pipeline.xlen(stream_key(channel, f"{self.run}:"))
                self._lengths = dict(zip(channels, await pipeline.execute(), strict=True))
        except (RedisError, OSError):
            # The run then ends with missing events or with `check`, which say more than an error here would.
            return self._lengths
        return self._lengths

    async def forget_run(self) -> str | None:
        """Delete every key of the run; return the problem, or None."""
        try:
            keys: list[str] = []
            async for key in self._client.scan_iter(match=f"*{self.run}*", count=_KEYS_AT_ONCE):
                keys.append(key)
                if len(keys) == _KEYS_AT_ONCE:
                    await self._client.unlink(*keys)
                    keys.clear()
            if keys:
                await self._client.unlink(*keys)
        except (RedisError, OSError) as error:
            return f"keys with {self.run} may be left at {self._place}: {error}"
        return None

    async def aclose(self) -> None:
        """Release the connections."""
        await self._client.aclose()


def place_of(url: str) -> str:
    """Return host and port, or the socket's path, without user and password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path
