"""One connection of the publisher's own: scripts go out in one write, and every reply is accounted for.

Below redis-py's client, which would retry on its own or lose the replies before a failure.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from domainstream.publisher.publish_script import Command, with_text
from domainstream.publisher.redis_own_pool import place_of


class NoReplyError(Exception):
    """No reply: nothing was sent, or the connection was lost before the reply came."""

    def __init__(self, cause: Exception, where: str, *, sent: bool) -> None:
        self.cause = cause
        """What went wrong."""
        self.where = where
        """The server, as `host:port` or a socket's path."""
        self.sent = sent
        """Whether the command may have reached the server."""
        super().__init__(str(cause))


_pack: Callable[[Any], bytes] = pack_command  # its stub takes tuples of one only
_SAID_NO = (ResponseError, BusyLoadingError, AuthenticationError, AuthorizationError)
"""Errors that are a server's reply: redis-py takes the last three for failures of the connection."""

Answer = list[bytes] | RedisError | NoReplyError


class RedisLink:
    """Runs commands one flush at a time; connects when needed."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._where = place_of(pool)
        self._connection: Connection | None = None

    async def run(self, commands: Sequence[Command], seconds: float) -> list[Answer]:
        """Send `commands` in one write and return one answer each; errors are answers too, only cancellation raises."""
        answers: list[Answer] = []
        sent = False
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connected()
                sent = True
                await self._exchange(connection, commands, answers)
                await self._load_script(connection, commands, answers)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            await self.drop()
            answers += [NoReplyError(error, self._where, sent=sent)] * (len(commands) - len(answers))
        except BaseException:  # replies are still to come: the next run must not take them for its own
            await self.drop()
            raise
        return answers

    async def drop(self, *, nowait: bool = True) -> None:
        """Leave the connection, if there is one; the next run connects anew. Without `nowait`, see it closed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError):  # a server that does not answer a goodbye is gone all the same
                await connection.disconnect(nowait=nowait)

    async def _connected(self) -> Connection:
        if self._connection is not None:
            return self._connection
        connection: Any = cast("Any", self._pool).make_connection()
        try:
            await connection.connect()
        except BaseException:  # also when the time is up during the handshake: no socket may be left open
            await connection.disconnect(nowait=True)
            raise
        self._connection = connection
        return cast("Connection", connection)

    async def _exchange(self, connection: Connection, commands: Sequence[Command], answers: list[Answer]) -> None:
        await connection.send_packed_command([_pack(command) for command in commands])
        for _ in commands:
            answers.append(await _reply(connection))  # noqa: PERF401 - what came before a failure must be kept

    async def _load_script(self, connection: Connection, commands: Sequence[Command], answers: list[Answer]) -> None:
        """Repeat with the script's text what failed for want of it: such a call has not run."""
        missing = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if not missing:
            return
        repeated: list[Answer] = []
        for index in missing:
            answers[index] = NoReplyError(
                TimeoutError(), self._where, sent=True
            )  # stands if the time is up before the reply
        try:
            await self._exchange(connection, [with_text(commands[index]) for index in missing], repeated)
        finally:
            for index, answer in zip(missing, repeated, strict=False):
                answers[index] = answer


async def _reply(connection: Connection) -> Answer:
    try:
        reply: Any = await connection.read_response(disconnect_on_error=False)  # after LOADING more replies come
    except _SAID_NO as error:
        return error
    return cast("list[bytes]", reply)
