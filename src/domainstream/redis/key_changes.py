"""Hears from a server which keys change, whoever changes them, over one connection.

`CLIENT TRACKING` was made for caches; its messages are directed to the connection itself, as those of a subscriber. The
server ends a connection of a subscriber that does not read (`client-output-buffer-limit`). As pushes of RESP3, the
messages for a process that hangs would fill the server's memory without limit.
"""

import asyncio
from collections.abc import Callable, Sequence
from os.path import commonprefix
from typing import Any, Final, NoReturn

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from domainstream.redis.errors import REPLY_ERRORS, ErrorKind, NoReplyError, kind_of, place_of
from domainstream.redis.link import REPLY_TIMEOUT

PING_INTERVAL: Final = 3.0
"""Seconds of silence after which the server gets a PING."""

PING_TIMEOUT: Final = 3.0
"""Seconds that it has to answer."""

MAX_PREFIXES: Final = 8
"""How many prefixes there should be at most: the server compares each one with every key that is written (30 ns)."""

_CHANNEL: Final = "__redis__:invalidate"

OnChange = Callable[[Sequence[bytes] | None], None]
"""Called with the keys that have changed, or with None when any key may have."""


class NotTrackedError(Exception):
    """The server, or a proxy in front of it, does not say which keys change."""


async def report_changes(pool: ConnectionPool, prefixes: Sequence[str], on_change: OnChange) -> NoReturn:
    """Connect, and call `on_change` for the keys that begin with one of `prefixes`, until the connection is lost.

    The first call is with None, once no change is missed any more; so are those after all keys were deleted. None of
    the prefixes may begin with another. Raises `NotTrackedError` when the server refuses, and `NoReplyError` when it is
    down or the connection is lost.
    """
    connection: Any = pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        async with asyncio.timeout(REPLY_TIMEOUT):
            await connection.connect()
            await _track(connection, prefixes)
        on_change(None)
        await _listen(connection, on_change)
    except (RedisError, OSError) as error:
        raise NoReplyError(error, sent=False, place=place_of(pool)) from None
    finally:
        await connection.disconnect(nowait=True)


def prefixes_of(keys: Sequence[str]) -> list[str]:
    """Return a few prefixes with which all of `keys` begin, and few other keys; none begins with another.

    A few keys are their own prefixes, so that nobody hears of other streams: that costs the server 6 µs each time, and
    the listener more. Of many keys, those that begin alike share a prefix.
    """
    groups: dict[str, list[str]] = {}
    for length in range(max(map(len, keys), default=0), 0, -1):
        groups = {}
        for key in keys:
            groups.setdefault(key[:length], []).append(key)
        if len(groups) <= MAX_PREFIXES:
            break
    found = sorted(commonprefix(group) for group in groups.values())  # noqa: RUF071 - characters are meant
    return [one for one in found if not any(one != other and one.startswith(other) for other in found)]


async def _track(connection: Any, prefixes: Sequence[str]) -> None:
    try:
        await connection.send_command("CLIENT", "ID", check_health=False)
        own_id = await connection.read_response()
        options = [part for prefix in prefixes for part in ("PREFIX", prefix)]
        await connection.send_command("CLIENT", "TRACKING", "ON", "REDIRECT", own_id, "BCAST", *options)
        await connection.read_response()
        await connection.send_command("SUBSCRIBE", _CHANNEL)
        await connection.read_response()
    except REPLY_ERRORS as error:
        if kind_of(error) is ErrorKind.FINAL:
            raise NotTrackedError(str(error)) from None
        raise


async def _listen(connection: Any, on_change: OnChange) -> NoReturn:
    now = asyncio.get_running_loop().time
    asked = False
    while True:
        try:
            async with asyncio.timeout(PING_TIMEOUT if asked else PING_INTERVAL) as silence:
                due = now()
                while True:
                    # Without a time limit of its own for each message, which would cost more than all the rest.
                    try:
                        message = await connection.read_response(disconnect_on_error=False)
                    except REPLY_ERRORS:  # a user who may not PING gets an answer, too
                        message = []
                    if now() >= due:
                        due = now() + PING_INTERVAL / 2
                        silence.reschedule(now() + PING_INTERVAL)
                    asked = False
                    if message[:1] == [b"message"]:
                        on_change(message[2])
        except TimeoutError:
            if asked:
                raise RedisConnectionError("the server does not answer") from None
            asked = True
            await connection.send_command("PING", check_health=False)
