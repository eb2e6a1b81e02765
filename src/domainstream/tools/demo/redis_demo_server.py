"""What the demo itself asks of the server: its name, the lengths of streams, and to forget the run."""

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
    """The server answered when the run began, and does not any more."""


class RedisDemoServer:
    """The server of one run, over a connection of our own.

    Raises `ConfigurationError` for a URL that is none.
    """

    def __init__(self, url: str, run: str) -> None:
        self.run = run
        """The name of the run, which stands in every key of it and in no other."""
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
                "Start it, or correct --redis-url or REDIS_URL; without both the demo brings a server of its own"
            ) from None
        if info.get("server_name") == "valkey":
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"

    async def check(self) -> None:
        """Raise `ServerWentAwayError` when the server does not answer any more."""
        try:
            await self._client.ping()
        except (RedisError, OSError):
            raise ServerWentAwayError(
                f"The server at {self._place} went away while the demo was running.\n"
                "See why it ended, start it if it is yours, and type again: domainstream demo"
            ) from None

    async def lengths(self, channels: Sequence[str]) -> dict[str, int]:
        """Return how many entries the stream of each channel has; the last known lengths while the server is silent."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for channel in channels:
                    pipeline.xlen(stream_key(channel, f"{self.run}:"))
                self._lengths = dict(zip(channels, await pipeline.execute(), strict=True))
        except (RedisError, OSError):
            # A server that has gone shows as events that are missing, which names more than an error here would.
            return self._lengths
        return self._lengths

    async def forget_run(self) -> str | None:
        """Delete every key of the run; return what went wrong, or None."""
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

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()


def place_of(url: str) -> str:
    """Return where `url` leads, without user and password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path
