"""The link accounts for every command, whatever breaks under it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from redis import exceptions
from redis.exceptions import BusyLoadingError, NoScriptError, ResponseError

from domainstream.publisher.redis_link import NoReplyError, RedisLink

COMMANDS = [(b"EVALSHA", b"sha", b"0", b"one"), (b"EVALSHA", b"sha", b"0", b"two")]
SILENCE = None


class ScriptedConnection:
    """A connection whose replies are prepared: values are returned, errors raised, and silence lasts for ever."""

    def __init__(self, replies: Sequence[Any], goodbye: Exception | None = None) -> None:
        self.goodbye = goodbye
        self._replies = iter(replies)

    async def connect(self) -> None:
        """Do nothing."""

    async def send_packed_command(self, packed: Sequence[bytes]) -> None:
        """Take anything."""

    async def read_response(self, *, disconnect_on_error: bool) -> Any:
        """Give the next reply."""
        reply = next(self._replies)
        if reply is SILENCE:
            await asyncio.Event().wait()
        if isinstance(reply, BaseException):
            raise reply
        return reply

    async def disconnect(self, *, nowait: bool) -> None:
        """Fail if told to."""
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


async def test_a_repeat_with_the_text_that_times_out_has_no_reply() -> None:
    """A call repeated with the script's text may have run, so it is not said to have failed for want of the script."""
    answers = await link(ScriptedConnection([NoScriptError(), NoScriptError(), [b"1-1"], SILENCE])).run(COMMANDS, 0.01)
    assert answers[0] == [b"1-1"]
    assert isinstance(answers[1], NoReplyError)
    assert answers[1].sent


async def test_a_loading_server_answers_each_command() -> None:
    """LOADING is the answer to one command only; a later one may have run, and its reply counts."""
    answers = await link(ScriptedConnection([BusyLoadingError(), [b"1-1"]])).run(COMMANDS, 5)
    assert isinstance(answers[0], BusyLoadingError)
    assert answers[1] == [b"1-1"]


async def test_replies_before_a_lost_connection_are_kept() -> None:
    """What was answered before the connection broke stays answered."""
    answers = await link(ScriptedConnection([ResponseError("no"), exceptions.ConnectionError()])).run(COMMANDS, 5)
    assert isinstance(answers[0], ResponseError)
    assert isinstance(answers[1], NoReplyError)


async def test_after_a_mistake_no_reply_is_taken_for_anothers() -> None:
    """Whatever ends a run early, the next one does not read the replies that were still to come."""
    over_two = link(ScriptedConnection([ValueError(), [b"stale"]]), ScriptedConnection([[b"fresh"]]))
    with pytest.raises(ValueError):  # noqa: PT011 - there is no message
        await over_two.run(COMMANDS, 5)
    assert await over_two.run(COMMANDS[:1], 5) == [[b"fresh"]]


async def test_a_server_silent_at_the_goodbye_is_left_all_the_same() -> None:
    """Leaving a TLS connection whose other end is frozen raises nothing."""
    silent = link(ScriptedConnection([[b"1-1"]], goodbye=exceptions.TimeoutError()))
    await silent.run(COMMANDS[:1], 5)
    await silent.drop(nowait=False)
