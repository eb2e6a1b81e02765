"""Connects a command to its server, and looks channels up on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from domainstream.errors import ServerNotFoundError, ServerUnavailableError
from domainstream.redis.connection import connect
from domainstream.redis.errors import place_of, server_error
from domainstream.redis.keys import prefix_problem
from domainstream.stream.inspection.streams import RedisStreamInspection
from domainstream.tools.common.errors import NotFoundError
from domainstream.validation import raise_problems

EXAMPLE: Final = "run: export REDIS_URL=redis://localhost:6379, or add: --redis-url redis://localhost:6379"
CONNECT_TIMEOUT: Final = 5.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A server that has answered."""

    client: Redis
    """A connection to it."""

    url: str
    """Its URL, which may contain a password."""

    prefix: str
    """The prefix of all stream keys."""

    streams: RedisStreamInspection
    """The inspection of the streams below the prefix."""

    @property
    def place(self) -> str:
        """Host, port and database, without user and password."""
        pool = self.client.connection_pool
        return f"{place_of(pool)}/{pool.connection_kwargs.get('db') or 0}"

    @property
    def where(self) -> str:
        """Where the streams are, as errors say it."""
        return f"at {self.place}" + (f" below the prefix {self.prefix}" if self.prefix else "")

    async def require_channel(self, channel: str, *more: str) -> None:
        """Raise `NotFoundError` unless the channel has a stream; it suggests a similar channel, also one of `more`."""
        if await self.streams.stream(channel) is None:
            known = {*await self.streams.channels(), *more}
            raise NotFoundError.of("channel", channel, known, where=self.where, look="domainstream streams ls")

    async def chosen_channels(self, channel: str | None) -> list[str]:
        """Return the named channel, or all of them for None; raise `NotFoundError` as `require_channel` does."""
        if channel is None:
            return await self.streams.channels()
        await self.require_channel(channel)
        return [channel]


@asynccontextmanager
async def open_server(url: str | None, prefix: str) -> AsyncIterator[RedisServer]:
    """Connect for the duration of a block.

    Raises `ServerUnavailableError` when the server does not answer or rejects the user.
    """
    if not url:
        raise ServerNotFoundError(f"no server is configured; {EXAMPLE}")
    raise_problems("The prefix", [prefix_problem(prefix)])
    client = connect(url, socket_connect_timeout=CONNECT_TIMEOUT)
    try:
        await _require_answer(client)
        yield RedisServer(client, url, prefix, RedisStreamInspection(client, prefix=prefix))
    finally:
        await client.aclose()


async def _require_answer(client: Redis) -> None:
    try:
        await client.ping()
    except NoPermissionError:
        # Connected nevertheless; a command that the user may not run fails when it is called.
        return
    except (RedisError, OSError) as error:
        advice = "" if isinstance(error, AuthenticationError) else ". Start it, or correct --redis-url or REDIS_URL"
        raise ServerUnavailableError(
            f"{str(server_error(error, place_of(client.connection_pool))).rstrip('.')}{advice}"
        ) from None
