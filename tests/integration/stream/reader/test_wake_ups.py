"""Wake-ups name each stream with new entries at once, and no other; after an interruption they name all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from support.consuming import PATIENCE, until
from support.hand_over import GROUP, HandOver
from support.waking import awake

from domainstream.redis import key_changes
from domainstream.redis.connection import link_pool
from domainstream.redis.errors import NoReplyError
from domainstream.redis.key_changes import report_changes
from domainstream.stream.reader import wake_up_listener
from domainstream.stream.reader.wake_ups import WakeUps
from domainstream.testing import EmbeddedServer
from domainstream.testing.fault_proxy import FaultProxy

Allow = Callable[..., Awaitable[str]]
"""Gives a user rights, and returns the URL with which the user connects."""


@pytest.fixture
def keys(stream_prefix: str) -> list[str]:
    """Three streams of this test."""
    return [f"{stream_prefix}domain_{name}" for name in ("one", "two", "three")]


async def add(redis: Redis, key: str) -> None:
    """Add an entry, as anybody may do."""
    await redis.xadd(key, {"data": b"event"})


async def connections(redis: Redis) -> list[Any]:
    """Return the connections that listen."""
    return [client for client in await redis.client_list() if "t" in client["flags"]]


async def test_new_entry_wakes_its_stream(redis_url: str, redis: Redis, keys: list[str]) -> None:
    """Whoever adds it, and also in a script."""
    async with awake(redis_url, keys) as wake_ups:
        await add(redis, keys[1])
        assert await wake_ups.wait(PATIENCE) == {keys[1]}
        await redis.eval("return redis.call('XADD', KEYS[1], '*', 'data', 'event')", 1, keys[2])
        assert await wake_ups.wait(PATIENCE) == {keys[2]}


async def test_what_came_between_two_calls_is_returned_at_once(redis_url: str, redis: Redis, keys: list[str]) -> None:
    """An entry that is added while another is read wakes again."""
    async with awake(redis_url, keys) as wake_ups:
        for _ in range(2):
            await add(redis, keys[0])
            await until(lambda: wake_ups._changed)
            assert await wake_ups.wait(0) == {keys[0]}
        assert await wake_ups.wait(0) == set()


async def test_turns_of_a_reader_wake_nobody(redis_url: str, redis: Redis, hand_over: HandOver) -> None:
    """Taking, reading, acknowledging and renewing change no stream; else each turn would cause another one."""
    last = f"{hand_over.stream}_last"
    await hand_over.add(i1_1="one")
    async with awake(redis_url, [hand_over.stream, last]) as wake_ups:
        instance = hand_over.instance("a")
        await instance.take()
        deliveries = await instance.new()
        await instance.read("pending")
        await instance.acknowledge(deliveries)
        assert await hand_over.pending() == []
        await redis.xgroup_delconsumer(hand_over.stream, GROUP, "domainstream")
        await add(redis, last)

        assert await wake_ups.wait(PATIENCE) == {last}


async def test_keys_that_begin_like_a_stream_wake_nobody(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """With a hash tag in the prefix, a stream's lease and dead letters begin as the stream does."""
    first, last = (f"{{{stream_prefix}}}domain_{name}" for name in ("first", "last"))
    async with awake(redis_url, [first, last]) as wake_ups:
        await redis.set(f"{first}:lease:{GROUP}", "owner")
        await add(redis, f"{first}:dead")
        await add(redis, last)
        assert await wake_ups.wait(PATIENCE) == {last}


async def test_many_streams_need_one_connection(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """The server counts it as that of a subscriber, so that it may end it when nobody reads."""
    many = [f"{stream_prefix}domain_{index}_changed" for index in range(500)]
    async with awake(redis_url, many) as wake_ups:
        (connection,) = await connections(redis)
        await add(redis, many[499])
        assert await wake_ups.wait(PATIENCE) == {many[499]}
        assert "P" in connection["flags"]


async def test_deleting_all_keys_wakes_all(redis_url: str, keys: list[str]) -> None:
    """A group that is gone with its stream is missed at once."""
    async with awake(redis_url, keys) as wake_ups, Redis.from_url(redis_url, db=5) as other_database:
        await other_database.flushdb()
        assert await wake_ups.wait(PATIENCE) == set(keys)


async def test_without_new_entries_nothing_wakes(redis_url: str, keys: list[str]) -> None:
    """Then the time runs out."""
    async with awake(redis_url, keys) as wake_ups:
        assert await wake_ups.wait(0.01) == set()


async def test_poll_wakes_all(redis_url: str, keys: list[str]) -> None:
    """Whatever the servers do, no entry waits for longer."""
    async with awake(redis_url, keys, poll=timedelta(milliseconds=20)) as wake_ups:
        assert await wake_ups.wait(PATIENCE) == set(keys)
        assert await wake_ups.wait(PATIENCE) == set(keys)


async def test_cancelled_wait_takes_nothing(redis_url: str, redis: Redis, keys: list[str]) -> None:
    """The next one returns it."""
    async with awake(redis_url, keys) as wake_ups:
        waiting = asyncio.create_task(wake_ups.wait(PATIENCE))
        await asyncio.sleep(0)
        waiting.cancel()
        await add(redis, keys[0])
        with suppress(asyncio.CancelledError):
            await waiting
        assert await wake_ups.wait(PATIENCE) == {keys[0]}


class Interruption:
    """Ends the connection, and keeps the next one from being made until it is over."""

    def __init__(self, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        self._redis = redis
        self._is_over = asyncio.Event()
        monkeypatch.setattr(wake_up_listener, "report_changes", self._connect)

    async def begin(self) -> None:
        """End the connection."""
        for connection in await connections(self._redis):
            await self._redis.client_kill_filter(_id=connection["id"])

    async def end(self) -> None:
        """Let the next connection be made, and wait until changes are heard over it."""
        self._is_over.set()
        await until(self._is_heard)

    async def _connect(self, *arguments: Any) -> None:
        await self._is_over.wait()
        await report_changes(*arguments)

    async def _is_heard(self) -> bool:
        return any("P" in connection["flags"] for connection in await connections(self._redis))


async def test_lost_connection_wakes_all(
    redis_url: str, redis: Redis, keys: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When it is lost, and when there is another one: nobody heard of an entry that was added in between."""
    async with awake(redis_url, keys) as wake_ups:
        interruption = Interruption(redis, monkeypatch)
        await interruption.begin()
        assert await wake_ups.wait(PATIENCE) == set(keys)
        assert "stream.wake_ups_lost" in caplog.text
        await add(redis, keys[0])
        await interruption.end()
        assert await wake_ups.wait(PATIENCE) == set(keys)


async def test_control_what_came_meanwhile_would_wait_for_the_poll(
    redis_url: str, redis: Redis, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: without waking all, the next one to be heard of is an entry that is added later."""
    plain = WakeUps._on_change
    deaf = False

    def only_keys(wake_ups: WakeUps, changed: Sequence[bytes] | None) -> None:
        if changed is not None or not deaf:
            plain(wake_ups, changed)

    monkeypatch.setattr(WakeUps, "_on_change", only_keys)
    async with awake(redis_url, keys) as wake_ups:
        deaf = True
        interruption = Interruption(redis, monkeypatch)
        await interruption.begin()
        await add(redis, keys[0])
        await interruption.end()
        await add(redis, keys[1])
        assert await wake_ups.wait(PATIENCE) == {keys[1]}


async def test_connection_that_is_dead_is_noticed(
    redis_url: str, redis: Redis, keys: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A network that swallows everything does not close connections."""
    for name in ("PING_INTERVAL", "PING_TIMEOUT"):
        monkeypatch.setattr(key_changes, name, 0.1)
    async with FaultProxy(redis_url) as proxy, awake(proxy.url, keys) as wake_ups:
        proxy.swallow()
        await add(redis, keys[0])
        assert await wake_ups.wait(PATIENCE) == set(keys)
        proxy.swallow(on=False)
        assert "the server does not answer" in caplog.text


async def test_silent_server_that_answers_keeps_its_connection(
    redis_url: str, redis: Redis, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many intervals without a change are no reason to connect again."""
    monkeypatch.setattr(key_changes, "PING_INTERVAL", 0.02)
    async with awake(redis_url, keys) as wake_ups:
        (before,) = await connections(redis)
        await until(lambda: _is_asked(redis))
        assert await wake_ups.wait(0.1) == set()
        (after,) = await connections(redis)
        assert after["id"] == before["id"]


async def _is_asked(redis: Redis) -> bool:
    return any(connection["cmd"] == "ping" for connection in await connections(redis))


async def test_server_ends_a_connection_that_nobody_reads(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """A process that hangs costs the server no more memory than its limit for subscribers."""
    limits: Any = await redis.config_get("client-output-buffer-limit")
    await redis.config_set("client-output-buffer-limit", "pubsub 1mb 0 0")
    flooded = False

    def hang(_: Sequence[bytes] | None) -> None:
        nonlocal flooded
        if not flooded:
            flooded = True
            with BlockingRedis.from_url(redis_url) as client:
                for number in range(200):
                    client.mset({f"{stream_prefix}{number}{index:01000d}": "" for index in range(100)})

    try:
        with pytest.raises(NoReplyError):
            await report_changes(link_pool(redis_url), [stream_prefix], hang)
    finally:
        await redis.config_set("client-output-buffer-limit", limits["client-output-buffer-limit"])
        await redis.eval(
            "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('UNLINK', key) end", 0, f"{stream_prefix}*"
        )


@pytest.fixture
async def user_url(redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[Allow]:
    """A user who has nothing but what the test allows."""
    user = stream_prefix.strip(":")

    async def allow(*commands: str, channels: Sequence[str] = (), keys: Sequence[str] = ()) -> str:
        rights: Any = {"commands": commands, "channels": channels, "keys": keys}
        await redis.acl_setuser(user, enabled=True, reset=True, reset_channels=True, passwords=["+pass"], **rights)
        return redis_url.replace("redis://", f"redis://{user}:pass@")

    yield allow
    await redis.acl_deluser(user)


async def test_rights_to_listen(
    user_url: Allow, redis: Redis, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listening needs three commands and a channel; a PING that is refused is an answer, too."""
    monkeypatch.setattr(key_changes, "PING_INTERVAL", 0.02)
    url = await user_url("+client|id", "+client|tracking", "+subscribe", channels=["__redis__:invalidate"])
    async with awake(url, keys) as wake_ups:
        assert await wake_ups.wait(0.1) == set()
        await add(redis, keys[0])
        assert await wake_ups.wait(PATIENCE) == {keys[0]}


@pytest.mark.parametrize("missing", ["client|tracking", "subscribe", "channel"])
async def test_server_that_refuses_is_asked(
    user_url: Allow,
    redis: Redis,
    keys: list[str],
    missing: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A user who may not listen gets wake-ups all the same, a little later; one warning says why."""
    rights = [f"+{name}" for name in ("client|id", "client|tracking", "subscribe", "xrevrange") if name != missing]
    channels = ["__redis__:invalidate"] if missing != "channel" else []
    async with awake(await user_url(*rights, channels=channels, keys=["*"]), keys) as wake_ups:
        for key in (keys[1], keys[0], keys[1]):
            await add(redis, key)
            assert await wake_ups.wait(PATIENCE) == {key}
        assert caplog.text.count("stream.wake_ups_missing") == 1


async def test_user_who_may_not_even_ask_reads_all(
    user_url: Allow, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then all streams are read, every second at the latest."""
    monkeypatch.setattr(wake_up_listener, "LONGEST_PAUSE", 0.02)
    async with awake(await user_url(), keys) as wake_ups:
        for _ in range(3):
            assert await wake_ups.wait(PATIENCE) == set(keys)


async def test_pauses_between_questions_grow_while_nothing_is_new(
    user_url: Allow, redis: Redis, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to a second; a new entry makes them short again."""
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0.001)

    monkeypatch.setattr(wake_up_listener, "asyncio", SimpleNamespace(sleep=note))
    async with awake(await user_url("+xrevrange", keys=["*"]), keys) as wake_ups:
        await until(lambda: wake_up_listener.LONGEST_PAUSE in pauses)
        assert pauses[:3] == [0.04, 0.08, 0.16]
        await add(redis, keys[0])
        assert await wake_ups.wait(PATIENCE) == {keys[0]}
        assert wake_up_listener.SHORTEST_PAUSE in pauses


async def test_server_at_a_socket(tmp_path: Path, keys: list[str]) -> None:
    """A path is as good as a host."""
    path = tmp_path / "redis.sock"
    with EmbeddedServer(options=("--unixsocket", str(path))) as server:
        async with awake(f"unix://{path}", keys) as wake_ups, Redis.from_url(server.url) as redis:
            await add(redis, keys[0])
            assert await wake_ups.wait(PATIENCE) == {keys[0]}
