"""A pipelined connection below redis-py's client: many commands in one write, and every reply accounted for.

redis-py's client waits for each reply before it packs the next command; for a small command that costs as much as
everything else. Its pipeline packs all commands first, retries on its own, and loses the replies before a failure.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from hiredis import pack_command
from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import NoScriptError, RedisError

from domainstream.redis.confirming import Confirmation, ReplicaCount, connected_replicas
from domainstream.redis.connection import link_pool
from domainstream.redis.errors import REPLY_ERRORS, ErrorKind, NoReplyError, kind_of, place_of, server_error
from domainstream.redis.primary_connection import PrimaryConnection
from domainstream.redis.scripts import Script
from domainstream.redis.topology import Address, RedisTopology
from domainstream.settings import Confirm

REPLY_TIMEOUT: Final = 5.0
"""Seconds that the replies to one call may take, connecting included."""

Arguments = Sequence[str | bytes | int]
"""A command, or what follows the script in an EVALSHA: the count of keys, the keys, and the arguments."""

Transaction = Sequence[Arguments]
"""The commands of a transaction, from MULTI to EXEC, whose keys lie in one slot."""

Reply = Any
"""What the server returned. An error is a reply too: a `RedisError` of the server, or a `NoReplyError`."""

_pack: Callable[[Any], bytes] = pack_command  # its stub takes tuples of one only


class RedisLink:
    """Sends commands and reads their replies, one call at a time; connects when needed, and again after a failure.

    For one task. A call that did not get all of its replies drops the connection, so that late replies are not taken
    for those of the next call.
    """

    def __init__(self, pool: ConnectionPool, *, replicas: ReplicaCount = connected_replicas) -> None:
        """Make connections with `pool`, whose own connections are not used; `replicas` counts those of the server."""
        self.place = place_of(pool)
        """The server, as `host:port` or a socket's path."""
        self._pool = pool
        self._connection: Connection | None = None
        self._connections = 0
        self._confirmation = Confirmation(replicas)

    @classmethod
    def from_url(cls, url: str | RedisTopology, *, client_name: str | None = None) -> "RedisLink":
        """Return a link to `url`, which the server's CLIENT LIST shows as `client_name`.

        Raises `ConfigurationError` for an invalid URL.
        """
        return cls(link_pool(url, client_name=client_name))

    async def eval_each(
        self, script: Script, calls: Iterable[Arguments], *, seconds: float = REPLY_TIMEOUT
    ) -> list[Reply]:
        """Call `script` once for each of `calls` and return one reply each, errors included; only cancellation raises.

        A sequence of calls goes out in one write. Of an iterator, each call is sent before the next is asked for, so
        that the server works while the next one is made; after a failure it may not have been exhausted.
        """
        sent: list[Arguments] = list(calls) if isinstance(calls, Sequence) else []
        replies: list[Reply] = []
        connected = False
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connect()
                connected = True
                if sent:
                    packed = [_pack(("EVALSHA", script.sha, *call)) for call in sent]
                    await connection.send_packed_command(packed, check_health=False)
                else:
                    for call in calls:
                        sent.append(call)
                        await connection.send_packed_command(_pack(("EVALSHA", script.sha, *call)), check_health=False)
                await _read_into(replies, connection, len(sent))
                await _repeat_with_text(connection, script, sent, replies)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            await self.drop()
            replies += [NoReplyError(error, sent=connected, place=self.place)] * max(
                len(sent) - len(replies), 0 if sent else 1
            )
        except BaseException:
            await self.drop()
            raise
        await self._drop_if_transient(replies)
        return replies

    async def eval_each_confirmed(
        self, script: Script, calls: Sequence[Arguments], *, confirm: Confirm, seconds: float
    ) -> list[Reply]:
        """Call `script` once for each of `calls`, and wait until replicas have what was written.

        Each reply is a `Confirmed`, which says whether enough of them do, or an error; only cancellation raises.
        """

        async def exchange(commands: Sequence[Arguments], left: float) -> list[Reply]:
            return await self.exchange(*commands, seconds=left)

        return await self._confirmation.eval_each(exchange, script, calls, confirm, seconds)

    def owner(self, key: str) -> Address | None:  # noqa: ARG002 - a cluster's link needs it
        """Return the node of a cluster that has a key, as far as is known; None if there is only one server."""
        return None

    async def refresh_owners(self) -> bool:
        """Ask a cluster's nodes who has which slot; return whether several take writes, and thus one may be missing."""
        return False

    async def run(self, script: Script, calls: Iterable[Arguments]) -> list[Any]:
        """Call `script` once for each of `calls` as `eval_each` does, and return what it returned.

        Raises `ServerError` for the first reply that is an error, after all have been read. Without a reply it is
        unknown what has run.
        """
        return self._without_errors(await self.eval_each(script, calls))

    async def send(self, *commands: Arguments, seconds: float, replies: list[Reply] | None = None) -> list[Reply]:
        """Send commands in one write and return their replies, which may take `seconds`.

        An error of the server is a reply. Raises `ServerError` when not all replies come; those that came are in
        `replies`, an empty list of the caller's.
        """
        replies = [] if replies is None else replies
        failure = await self._exchange(commands, replies, seconds)
        if failure is not None:
            raise server_error(failure, self.place) from None
        return replies

    async def exchange(self, *commands: Arguments, seconds: float) -> list[Reply]:
        """Send commands in one write and return one reply each, errors included; only cancellation raises."""
        replies: list[Reply] = []
        failure = await self._exchange(commands, replies, seconds)
        return replies if failure is None else [*replies, *[failure] * (len(commands) - len(replies))]

    async def transact_each(self, transactions: Sequence[Transaction], *, seconds: float) -> list[list[Reply]]:
        """Send transactions in one write and return the replies of each, errors included; only cancellation raises.

        On a cluster, a transaction that another node would have to run fails with MOVED or ASK.
        """
        commands = [command for transaction in transactions for command in transaction]
        replies = iter(await self.exchange(*commands, seconds=seconds))
        return [[next(replies) for _ in transaction] for transaction in transactions]

    async def connect(self, *, seconds: float) -> int | NoReplyError:
        """Connect, unless there is a connection; return its number, or why there is none; only cancellation raises."""
        if self._connection is not None and not isinstance(self._connection, PrimaryConnection):
            return self._connections
        try:
            async with asyncio.timeout(seconds):
                await self._connect()
        except (RedisError, OSError) as error:
            return NoReplyError(error, sent=False, place=self.place)
        return self._connections

    async def ask(self, command: Arguments, *, seconds: float) -> Any:
        """Send one command and return its reply, which may take `seconds`. Raises `ServerError`."""
        (reply,) = self._without_errors(await self.send(command, seconds=seconds))
        return reply

    async def drop(self, *, nowait: bool = True) -> None:
        """Drop the connection, if there is one; the next call connects again. Without `nowait`, wait for its end."""
        self._confirmation.forget()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError):  # a server that does not answer a goodbye is gone anyway
                await connection.disconnect(nowait=nowait)

    async def close(self) -> None:
        """Drop the connection, and wait for its end, which takes a moment with TLS. Closing twice does nothing."""
        await self.drop(nowait=False)

    async def _exchange(
        self, commands: Sequence[Arguments], replies: list[Reply], seconds: float
    ) -> NoReplyError | None:
        """Send commands and add their replies to `replies`; return why not all of them came."""
        connected = False
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connect()
                connected = True
                await connection.send_packed_command([_pack(command) for command in commands], check_health=False)
                await _read_into(replies, connection, len(commands))
        except (RedisError, OSError) as error:
            await self.drop()
            return NoReplyError(error, sent=connected, place=self.place)
        except BaseException:
            await self.drop()
            raise
        await self._drop_if_transient(replies)
        return None

    async def _connect(self) -> Connection:
        if isinstance(self._connection, PrimaryConnection) and self._connection.is_stale:
            await self.drop()
        if self._connection is None:
            make_connection: Any = self._pool.make_connection
            connection = make_connection()
            try:
                await connection.connect()
            except BaseException:  # also when the time is up during the handshake: no socket may be left open
                await connection.disconnect(nowait=True)
                raise
            self._connection = connection
            self._connections += 1
        return cast("Connection", self._connection)

    async def _drop_if_transient(self, replies: list[Reply]) -> None:
        """Drop the connection to a server that is not ready: after a failover it is the wrong one."""
        if any(isinstance(reply, RedisError) and kind_of(reply) is ErrorKind.TRANSIENT for reply in replies):
            await self.drop()

    def _without_errors(self, replies: list[Reply]) -> list[Any]:
        error = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if error is not None:
            raise server_error(error, self.place) from None
        return replies


async def _read_into(replies: list[Reply], connection: Connection, count: int) -> None:
    """Read `count` replies one by one into a list, which keeps what came before a failure."""
    for _ in range(count):
        try:
            replies.append(await connection.read_response(disconnect_on_error=False))  # after LOADING more replies come
        except REPLY_ERRORS as error:
            replies.append(error)


async def _repeat_with_text(
    connection: Connection, script: Script, calls: Sequence[Arguments], replies: list[Reply]
) -> None:
    """Repeat the calls that failed because the server does not have the script: they have not run."""
    missing = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if not missing:
        return
    for index in missing:  # what the reply is if none comes in time
        replies[index] = NoReplyError(TimeoutError(), sent=True)
    repeated: list[Reply] = []
    try:
        packed = [_pack(("EVAL", script.text, *calls[index])) for index in missing]
        await connection.send_packed_command(packed, check_health=False)
        await _read_into(repeated, connection, len(missing))
    finally:
        for index, reply in zip(missing, repeated, strict=False):
            replies[index] = reply
