"""The link accounts for every command, whatever breaks under it."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from redis import exceptions
from redis.exceptions import BusyLoadingError, NoScriptError, ReadOnlyError, ResponseError

from domainstream.errors import ServerError, ServerRefusedError, ServerUnavailableError
from domainstream.redis.errors import NoReplyError
from domainstream.redis.link import Arguments, RedisLink
from domainstream.redis.scripts import Script

SCRIPT = Script.of("return KEYS")
CALLS: list[Arguments] = [("0", "one"), ("0", "two")]
SILENCE = None


class ScriptedConnection:
    """A connection whose replies are prepared: values are returned, errors raised, and silence lasts for ever."""

    def __init__(self, replies: Sequence[Any], goodbye: Exception | None = None) -> None:
        self.goodbye = goodbye
        self._replies = iter(replies)

    async def connect(self) -> None:
        """Do nothing."""

    async def send_packed_command(self, packed: bytes | Sequence[bytes], *, check_health: bool) -> None:
        """Take anything."""
        assert not check_health

    async def read_response(self, *, disconnect_on_error: bool) -> Any:
        """Give the next reply."""
        reply = next(self._replies)
        if reply is SILENCE:
            await asyncio.Event().wait()
        if isinstance(reply, BaseException):
            raise reply
        return reply

    async def disconnect(self, *, nowait: bool) -> None:
        """Fail if an error was given."""
        if self.goodbye is not None:
            raise self.goodbye


class ScriptedPool:
    """Hands out the given connections, one after the other."""

    def __init__(self, *connections: ScriptedConnection) -> None:
        self.connection_kwargs = {"host": "here", "port": 1}
        self._connections = iter(connections)

    def make_connection(self) -> ScriptedConnection:
        """Return the next one."""
        return next(self._connections)


def link(*connections: ScriptedConnection) -> RedisLink:
    """Make a link over scripted connections."""
    pool: Any = ScriptedPool(*connections)
    return RedisLink(pool)


async def test_repeat_with_the_text_that_times_out_has_no_reply() -> None:
    """A call repeated with the script's text may have run, so its reply is unknown, not NOSCRIPT."""
    connection = ScriptedConnection([NoScriptError(), NoScriptError(), [b"1-1"], SILENCE])
    replies = await link(connection).eval_each(SCRIPT, CALLS, seconds=0.01)
    assert replies[0] == [b"1-1"]
    assert isinstance(replies[1], NoReplyError)
    assert replies[1].sent
    assert len(replies) == 2


async def test_loading_server_answers_each_command() -> None:
    """LOADING is the reply to one command only; a later one may have run, and its reply counts."""
    replies = await link(ScriptedConnection([BusyLoadingError(), [b"1-1"]])).eval_each(SCRIPT, CALLS)
    assert isinstance(replies[0], BusyLoadingError)
    assert replies[1] == [b"1-1"]


async def test_replies_before_a_lost_connection_are_kept() -> None:
    """What was answered before the connection broke stays answered."""
    replies = await link(ScriptedConnection([ResponseError("no"), exceptions.ConnectionError()])).eval_each(
        SCRIPT, CALLS
    )
    assert isinstance(replies[0], ResponseError)
    assert isinstance(replies[1], NoReplyError)


async def test_after_a_bug_no_reply_is_taken_for_anothers() -> None:
    """Whatever ends a call early, the next one does not read the replies that were still to come."""
    over_two = link(ScriptedConnection([ValueError(), [b"stale"]]), ScriptedConnection([[b"fresh"]]))
    with pytest.raises(ValueError):  # noqa: PT011 - there is no message
        await over_two.eval_each(SCRIPT, CALLS)
    assert await over_two.eval_each(SCRIPT, CALLS[:1]) == [[b"fresh"]]


async def test_server_silent_at_the_goodbye_is_left_anyway() -> None:
    """Leaving a TLS connection whose other end is frozen raises nothing."""
    silent = link(ScriptedConnection([[b"1-1"]], goodbye=exceptions.TimeoutError()))
    await silent.eval_each(SCRIPT, CALLS[:1])
    await silent.drop(nowait=False)


async def test_iterator_that_never_got_a_connection_has_no_reply() -> None:
    """Calls that are made one by one do not look as if there were none when the server cannot be reached."""

    class Unreachable(ScriptedConnection):
        async def connect(self) -> None:
            """Fail."""
            raise exceptions.ConnectionError

    def calls() -> Iterator[Arguments]:
        yield from CALLS

    with pytest.raises(ServerUnavailableError, match="no connection to the server at here:1"):
        await link(Unreachable([])).run(SCRIPT, calls())


@pytest.mark.parametrize("use", ["run", "ask", "send"])
async def test_error_of_a_failover_is_followed_by_a_new_connection(use: str) -> None:
    """A server that became a replica rejects writes; the next call connects again, to the new primary."""
    after_failover = link(ScriptedConnection([ReadOnlyError("replica")]), ScriptedConnection([b"done"]))
    with pytest.raises(ServerError):
        await one_call(after_failover, use)
    assert await one_call(after_failover, use) == b"done"


async def test_failover_is_noticed_behind_the_error_of_another_command() -> None:
    """A call whose first reply is a final error still leaves the server that rejects the second one as a replica."""
    over_two = link(
        ScriptedConnection([ResponseError("WRONGTYPE"), ReadOnlyError("replica")]), ScriptedConnection([b"done"])
    )
    with pytest.raises(ServerRefusedError):
        await over_two.run(SCRIPT, CALLS)
    assert await one_call(over_two, "run") == b"done"


async def test_error_of_a_command_keeps_the_connection() -> None:
    """A command that the server rejects says nothing about the connection, which is used again."""
    over_one = link(ScriptedConnection([ResponseError("WRONGTYPE"), b"done"]))
    with pytest.raises(ServerRefusedError):
        await one_call(over_one, "ask")
    assert await one_call(over_one, "ask") == b"done"


async def one_call(over: RedisLink, use: str) -> Any:
    """Send one command in one of the three ways."""
    if use == "run":
        return (await over.run(SCRIPT, CALLS[:1]))[0]
    if use == "ask":
        return await over.ask(("PING",), seconds=1)
    (reply,) = await over.send(("PING",), seconds=1)
    if isinstance(reply, Exception):
        raise ServerUnavailableError(str(reply))
    return reply
