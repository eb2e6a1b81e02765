"""One connection of the worker's own: one call at a time, packed by hand. Used by `bullmq_engine`.

Below redis-py's client, whose call costs as much as all else that a worker does for a job.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

from hiredis import pack_command
from redis.asyncio import Connection, Redis
from redis.exceptions import NoScriptError, RedisError

from domainstream.stream.redis_connection import our_errors

_pack: Callable[[Any], bytes] = pack_command  # its stub takes tuples of one only

REPLY_TIMEOUT: Final = 5.0
"""Seconds that a call may take, connecting included."""


class Script(NamedTuple):
    """A script.

    Attributes:
        text: What it says.

        sha: By which the server knows it.
    """

    text: str
    sha: str


class BullMQLink:
    """Runs one call at a time; connects when needed, and anew after every failure."""

    def __init__(self, client: Redis) -> None:
        """Connect as `client` would, whose own connections are not used."""
        self._client = client
        self._connection: Connection | None = None

    async def run(self, script: Script, arguments: Sequence[Any]) -> Any:
        """Call a script, which the server is told if it does not know it; `arguments` begin with the count of keys.

        Raises `ServerError`; after that nobody knows whether the script has run.
        """
        return await self._answer(("EVALSHA", script.sha, *arguments), REPLY_TIMEOUT, script)

    async def send(self, *command: Any, seconds: float) -> Any:
        """Send one command and return its reply, which may take `seconds`. Raises `ServerError`."""
        return await self._answer(command, seconds)

    async def close(self) -> None:
        """Leave the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError):  # a server that does not answer a goodbye is gone all the same
                await connection.disconnect(nowait=True)

    async def _answer(self, command: Sequence[Any], seconds: float, script: Script | None = None) -> Any:
        try:
            with our_errors(self._client):
                async with asyncio.timeout(seconds):
                    return await self._exchange(command, script)
        except BaseException:
            # A reply may still come, which the next call must not take for its own; and after a failover the server
            # that said no is the wrong one.
            await self.close()
            raise

    async def _exchange(self, command: Sequence[Any], script: Script | None) -> Any:
        connection = await self._connected()
        try:
            return await _reply(connection, command)
        except NoScriptError:
            if script is None:
                raise
            return await _reply(connection, ("EVAL", script.text, *command[2:]))

    async def _connected(self) -> Connection:
        if self._connection is None:
            connection: Any = cast("Any", self._client.connection_pool).make_connection()
            try:
                await connection.connect()
            except BaseException:  # also when the time is up during the handshake: no socket may be left open
                await connection.disconnect(nowait=True)
                raise
            self._connection = connection
        return cast("Connection", self._connection)


async def _reply(connection: Connection, command: Sequence[Any]) -> Any:
    await connection.send_packed_command(_pack(command), check_health=False)
    return await connection.read_response(disconnect_on_error=False)
