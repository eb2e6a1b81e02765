"""Dead letters on a real server: no step of theirs loses an entry."""

from typing import Any

import pytest
from redis.asyncio import Redis
from support.redis_streams import RedisHarness

from domainstream.errors import ServerOutOfMemoryError, ServerRefusedError
from domainstream.testing.dead_letter_contract import store
from domainstream.testing.stream_contract import FIRST, Owner


async def dead(harness: RedisHarness) -> int:
    """Return how many letters the channel has."""
    return len(await harness.streams.dead(FIRST))


async def test_letter_that_cannot_be_stored_is_not_acknowledged(harness: RedisHarness, redis: Redis) -> None:
    """When the dead-letter stream cannot be written, the entry stays pending instead of being lost."""
    entry_id = await harness.add(FIRST, b"rubbish")
    owner = await Owner.of(harness.reader())
    (delivery,) = (await owner.turn()).deliveries
    await redis.set(f"{harness.key(FIRST)}:dead", "text")
    with pytest.raises(ServerRefusedError):
        await owner.store_dead(delivery)
    assert await harness.pending() == [entry_id]


async def test_letter_that_cannot_go_back_stays(harness: RedisHarness, redis: Redis) -> None:
    """When the stream cannot be written, the letter is still there."""
    await store(harness, b"rubbish")
    await redis.set(harness.key(FIRST), "text")
    with pytest.raises(ServerRefusedError):
        await harness.redrive().redrive(FIRST)
    assert await dead(harness) == 1


async def test_letters_stay_while_the_memory_is_full(harness: RedisHarness, redis: Redis) -> None:
    """A server that takes no more entries keeps the letters, and says why."""
    await store(harness, b"rubbish")
    redrive = harness.redrive()
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(ServerOutOfMemoryError):
            await redrive.redrive(FIRST)
    finally:
        await redis.config_set("maxmemory", 0)
    assert await dead(harness) == 1
    assert len((await redrive.redrive(FIRST)).entry_ids) == 1


async def test_redriven_entry_is_what_it_was(harness: RedisHarness, redis: Redis) -> None:
    """The new entry has the field `data` with the same bytes, and no other; binary data too."""
    await store(harness, b"\x00\xff{")
    (entry_id,) = (await harness.redrive().redrive(FIRST)).entry_ids
    found: Any = await redis.xrange(harness.key(FIRST), entry_id, entry_id)
    assert found == [(entry_id.encode(), {b"data": b"\x00\xff{"})]
