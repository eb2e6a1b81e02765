"""The streams on a real server keep the contract of the ports, and heal from what servers do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP, Streams, until
from support.stream_contract import FIRST, SECOND, StreamContract, StreamPlace, read_all, texts

from domainstream.errors import ServerRefusedError, ServerUnavailableError
from domainstream.stream import DeadLetter, DeadLetters, RedisDeadLetters, RedisStreamReader, StreamReader


class RedisPlace(StreamPlace):
    """Streams on a real server."""

    def __init__(self, url: str, streams: Streams) -> None:
        self.url = url
        self.streams = streams
        self.opened: list[StreamReader | DeadLetters] = []

    async def add(self, channel: str, data: bytes | None) -> str:
        """Put an entry into a stream."""
        return await self.streams.add_data(channel, **({"other": b"field"} if data is None else {"data": data}))

    def reader(self, consumer: str = "one") -> RedisStreamReader:
        """Open a reader."""
        reader = RedisStreamReader.from_url(
            self.url, [FIRST, SECOND], group=GROUP, consumer=consumer, prefix=self.streams.prefix
        )
        self.opened.append(reader)
        return reader

    def dead_letters(self) -> RedisDeadLetters:
        """Open the dead letters."""
        dead_letters = RedisDeadLetters.from_url(self.url, group=GROUP, prefix=self.streams.prefix)
        self.opened.append(dead_letters)
        return dead_letters

    async def buried(self, channel: str) -> list[tuple[str, str, str, bytes | None]]:
        """Return the dead letters of a channel."""
        return [
            (letter[b"entry_id"].decode(), letter[b"error"].decode(), letter[b"reason"].decode(), letter.get(b"data"))
            for letter in await self.streams.dead(channel)
        ]

    async def destroy_group(self, channel: str) -> None:
        """Let the group vanish."""
        await self.streams.redis.xgroup_destroy(self.streams.key(channel), GROUP)

    async def close(self) -> None:
        """Close what was opened."""
        for port in self.opened:
            await port.close()


@pytest.fixture
async def place(redis_url: str, streams: Streams) -> AsyncIterator[RedisPlace]:
    """Streams on a real server."""
    place = RedisPlace(redis_url, streams)
    yield place
    await place.close()


class TestRedisStream(StreamContract):
    """The contract, on each kind of server."""

    @pytest.fixture
    async def place(self, redis_url: str, streams: Streams) -> AsyncIterator[StreamPlace]:
        """Streams on a real server."""
        place = RedisPlace(redis_url, streams)
        yield place
        await place.close()


@pytest.fixture
async def blocked(redis: Redis) -> Callable[[], Awaitable[str]]:
    """A function that waits until a reader of this test blocks on the server, and returns its client id."""

    async def ids() -> set[str]:
        clients: Any = await redis.client_list()
        return {client["id"] for client in clients if client["cmd"] == "xreadgroup" and "b" in client["flags"]}

    before = await ids()

    async def wait() -> str:
        async def new() -> set[str]:
            return await ids() - before

        found: set[str] = await until(new)
        return found.pop()

    return wait


async def test_lost_reply_is_looked_for_before_anything_new(
    place: RedisPlace, redis: Redis, blocked: Callable[[], Awaitable[str]]
) -> None:
    """Entries that the server delivered into a broken connection come before new ones."""
    reader = place.reader("one")
    reading = asyncio.create_task(reader.read())
    await redis.client_kill_filter(_id=await blocked())
    with pytest.raises(ServerUnavailableError):
        await reading
    await place.add(FIRST, b"lost")
    # What the server had sent in the consumer's name when the connection broke.
    await redis.xreadgroup(GROUP, "one", {place.streams.key(FIRST): ">"})
    await place.add(FIRST, b"new")
    assert texts(await read_all(reader, 2)) == [b"lost", b"new"]


async def test_cancelled_read_loses_nothing(place: RedisPlace, redis: Redis) -> None:
    """What was delivered to a read that was cancelled comes with the next one."""
    reader = place.reader("one")
    await reader.read()
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    await place.add(FIRST, b"lost")
    await redis.xreadgroup(GROUP, "one", {place.streams.key(FIRST): ">"})
    reading.cancel()
    await asyncio.wait([reading])
    assert texts(await reader.read()) == [b"lost"]


async def test_stream_deleted_under_a_blocked_read_heals(
    place: RedisPlace, redis: Redis, blocked: Callable[[], Awaitable[str]]
) -> None:
    """A DEL while the reader waits costs one empty read; then the group is there again."""
    reader = place.reader()
    reading = asyncio.create_task(reader.read())
    await blocked()
    await redis.delete(place.streams.key(FIRST))
    assert list(await reading) == []
    await place.add(FIRST, b"new")
    assert texts(await read_all(reader, 1)) == [b"new"]


async def test_options_in_the_url_do_not_change_what_is_read(redis_url: str, streams: Streams) -> None:
    """Options that others like in a URL neither change the replies nor cut a blocked read short."""
    url = f"{redis_url}?protocol=3&decode_responses=true&socket_timeout=0.2"
    reader = RedisStreamReader.from_url(url, [FIRST], group=GROUP, prefix=streams.prefix)
    assert list(await reader.read()) == []
    await streams.add_data(FIRST, data=b"new")
    assert texts(await read_all(reader, 1)) == [b"new"]
    await reader.close()


async def test_trimmed_pending_entry_is_delivered_without_data(place: RedisPlace, redis: Redis) -> None:
    """An entry that retention removed after its first delivery is still there to be settled."""
    entry_id = await place.add(FIRST, b"old")
    await place.reader("one").read()
    await redis.xdel(place.streams.key(FIRST), entry_id)
    (delivery,) = await place.reader("one").read()
    assert (delivery.entry_id, delivery.data) == (entry_id, None)


async def test_key_of_another_type_is_named(place: RedisPlace, redis: Redis) -> None:
    """A key that is no stream is refused with the channel's name and what to do."""
    await redis.set(place.streams.key(FIRST), "text")
    with pytest.raises(ServerRefusedError, match=f"key of channel {FIRST} is no stream; choose another prefix"):
        await place.reader().read()


async def test_letter_that_cannot_be_stored_is_not_acknowledged(place: RedisPlace, redis: Redis) -> None:
    """When the dead-letter stream cannot be written, the entry stays pending instead of being lost."""
    await place.add(FIRST, b"rubbish")
    (delivery,) = await place.reader().read()
    await redis.set(f"{place.streams.key(FIRST)}:dead", "text")
    with pytest.raises(ServerRefusedError):
        await place.dead_letters().bury([DeadLetter(delivery, "HostileJsonError", "not JSON")])
    assert await place.streams.pending(FIRST) == 1


async def test_server_that_is_not_there_is_unavailable() -> None:
    """Nobody listening is an error of ours, and the reader can still be closed."""
    reader = RedisStreamReader.from_url("redis://127.0.0.1:1", [FIRST], group=GROUP)
    with pytest.raises(ServerUnavailableError, match="does not answer"):
        await reader.read()
    await reader.close()
