"""One connection of a stage's own, below redis-py's client: calls go out as they are made, replies are read afterwards.

redis-py's client waits for each reply before it packs the next call, and costs as much as all else that is done for a
small one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from typing import Any, Final, NamedTuple, Self, cast

from hiredis import pack_command
from redis.asyncio import Connection, Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from domainstream.redis.connection import translated_errors

REPLY_TIMEOUT: Final = 5.0
"""Seconds that a run may take, connecting included."""

Arguments = Sequence[str | bytes | int]

_pack: Callable[[Any], bytes] = pack_command  # its stub takes tuples of one only


class Script(NamedTuple):
    """A script."""

    text: str
    """What it says."""

    sha: str
    """By which the server knows it."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the script that says `text`."""
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class RedisLink:
    """Runs commands one run at a time; connects when needed, and anew after a failure."""

    def __init__(self, client: Redis) -> None:
        """Connect as `client` would, whose own connections are not used."""
        self._client = client
        self._connection: Connection | None = None

    async def run(self, script: Script, calls: Iterable[Arguments]) -> list[Any]:
        """Call a script for each of `calls`, which begin with the count of keys, and return the replies.

        Each is sent before the next is asked for, so that the server works while `calls` makes it. Raises `ServerError`
        for the first reply that is one, after all have been read; without an answer nobody knows what has run.
        """
        async with self._guarded(REPLY_TIMEOUT):
            kept: list[Arguments] = []
            replies = await self._exchange(("EVALSHA", script.sha, *call) for call in _keeping(calls, kept))
            if any(isinstance(reply, NoScriptError) for reply in replies):
                replies = await self._exchange(("EVAL", script.text, *call) for call in kept)
            return _accepted(replies)

    async def ask(self, command: Arguments, *, seconds: float) -> Any:
        """Send one command and return its reply, which may take `seconds`. Raises `ServerError`."""
        async with self._guarded(seconds):
            (reply,) = _accepted(await self._exchange([command]))
            return reply

    async def send(self, *commands: Arguments, seconds: float) -> list[Any]:
        """Send commands in one write and return their replies, an error of the server being one too.

        The replies may take `seconds`. Raises `ServerError` when they do not come.
        """
        async with self._guarded(seconds):
            connection = await self._connected()
            await connection.send_packed_command(b"".join(map(_pack, commands)), check_health=False)
            return [await _reply(connection) for _ in commands]

    async def close(self) -> None:
        """Leave the connection, if there is one; the next run connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError):  # a server that does not answer a goodbye is gone all the same
                await connection.disconnect(nowait=True)

    @asynccontextmanager
    async def _guarded(self, seconds: float) -> AsyncIterator[None]:
        try:
            with translated_errors(self._client):
                async with asyncio.timeout(seconds):
                    yield
        except BaseException:
            # A reply may still come, which the next run must not take for its own; and after a failover the server that
            # said no is the wrong one.
            await self.close()
            raise

    async def _exchange(self, commands: Iterable[Arguments]) -> list[Any]:
        connection = await self._connected()
        sent = 0
        for command in commands:
            await connection.send_packed_command(_pack(command), check_health=False)
            sent += 1
        return [await _reply(connection) for _ in range(sent)]

    async def _connected(self) -> Connection:
        if self._connection is None:
            connection: Any = cast("Any", self._client.connection_pool).make_connection()
            connection.socket_timeout = None  # ours is enough; redis-py's would take a task for each write
            try:
                await connection.connect()
            except BaseException:  # also when the time is up during the handshake: no socket may be left open
                await connection.disconnect(nowait=True)
                raise
            self._connection = connection
        return cast("Connection", self._connection)


def _keeping(calls: Iterable[Arguments], kept: list[Arguments]) -> Iterable[Arguments]:
    for call in calls:
        kept.append(call)
        yield call


def _accepted(replies: list[Any]) -> list[Any]:
    if refused := next((reply for reply in replies if isinstance(reply, Exception)), None):
        raise refused
    return replies


async def _reply(connection: Connection) -> Any:
    try:
        return await connection.read_response(disconnect_on_error=False)
    except ResponseError as error:
        return error
