"""The streams on a real server keep the contract of the ports, and heal from what servers do."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from domainstream.errors import ServerRefusedError, ServerUnavailableError
from domainstream.stream import DeadLetter, DeadLetters, RedisDeadLetters, RedisStreamReader, StreamReader
from support.consuming import GROUP, Streams, until
from support.stream_contract import FIRST, SECOND, StreamContract, StreamPlace, read_all, texts


class RedisPlace(StreamPlace):
    """Streams on a real server."""

    def __init__(self, url: str, streams: Streams) -> None:
        self.url = url
        self.streams = streams
        self.opened: list[StreamReader | DeadLetters] = []

    async def add(self, channel: str, data: bytes | None) -> str:
        return await self.streams.add_data(channel, **({"other": b"field"} if data is None else {"data": data}))

    def reader(self, consumer: str = "one") -> RedisStreamReader:
        reader = RedisStreamReader.from_url(
            self.url, [FIRST, SECOND], group=GROUP, consumer=consumer, prefix=self.streams.prefix
        )
        self.opened.append(reader)
        return reader

    def dead_letters(self) -> RedisDeadLetters:
        dead_letters = RedisDeadLetters.from_url(self.url, group=GROUP, prefix=self.streams.prefix)
        self.opened.append(dead_letters)
        return dead_letters

    async def buried(self, channel: str) -> list[tuple[str, str, str, bytes | None]]:
        return [
            (letter[b"entry_id"].decode(), letter[b"error"].decode(), letter[b"reason"].decode(), letter.get(b"data"))
            for letter in await self.streams.dead(channel)
        ]

    async def destroy_group(self, channel: str) -> None:
        await self.streams.redis.xgroup_destroy(self.streams.key(channel), GROUP)

    async def close(self) -> None:
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


async def blocked_client(redis: Redis, since: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    """Wait until a client that is not among `since` blocks in XREADGROUP, and return its id."""

    async def find() -> str | None:
        clients: Any = await redis.client_list()
        blocked = [client["id"] for client in clients if client["cmd"] == "xreadgroup" and "b" in client["flags"]]
        return next((client for client in blocked if client not in since), None)

    found: str = await until(find)
    return found


async def blocked_clients(redis: Redis) -> set[str]:
    """Return the clients of other tests that block right now."""
    clients: Any = await redis.client_list()
    return {client["id"] for client in clients if client["cmd"] == "xreadgroup"}


async def test_lost_reply_is_looked_for_before_anything_new(place: RedisPlace, redis: Redis) -> None:
    """Entries that were delivered into a broken connection are not skipped."""
    reader = place.reader()
    others = await blocked_clients(redis)
    reading = asyncio.create_task(reader.read())
    client = await blocked_client(redis, others)
    # The server delivers to the connection and closes it in one step, so the reply may never arrive.
    async with redis.pipeline(transaction=True) as pipe:
        pipe.xadd(place.streams.key(FIRST), {"data": b"lost"})
        pipe.client_kill_filter(_id=client)
        await pipe.execute()
    first = await asyncio.gather(reading, return_exceptions=True)
    found = first[0] if isinstance(first[0], list) else await reader.read()
    assert isinstance(first[0], list | ServerUnavailableError)
    await place.add(FIRST, b"new")
    assert texts(found) == [b"lost"]


async def test_stream_deleted_under_a_blocked_read_heals(place: RedisPlace, redis: Redis) -> None:
    """A DEL while the reader waits costs one empty read; then the group is there again."""
    reader = place.reader()
    others = await blocked_clients(redis)
    reading = asyncio.create_task(reader.read())
    await blocked_client(redis, others)
    await redis.delete(place.streams.key(FIRST))
    assert list(await reading) == []
    await place.add(FIRST, b"new")
    assert texts(await read_all(reader, 1)) == [b"new"]


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
