"""What a stream keeps: by the server's clock, and never less than its groups need."""

from datetime import timedelta
from typing import Any

from support.publishing import messages

from domainstream import RedisStreamPublisherClient, Retention

NODES = 250
"""More entries than two nodes of a stream hold (100 each), since whole nodes are trimmed."""


async def add_old_entries(redis: Any, key: str, age: timedelta) -> None:
    """Fill a stream with entries whose ids are `age` old on the server's clock."""
    seconds, _ = await redis.time()
    milliseconds = seconds * 1000 - int(age.total_seconds() * 1000)
    async with redis.pipeline() as pipe:
        for number in range(NODES):
            pipe.xadd(key, {"data": "old"}, id=f"{milliseconds}-{number}")
        await pipe.execute()


async def publish_one(redis_url: str, prefix: str, retention: Retention) -> None:
    """Publish one message to `orders`."""
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=prefix, retention=retention) as client:
        await client.publish(messages("orders", 1))


async def test_stream_that_no_group_reads_yet_keeps_everything(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Before the first subscriber is deployed, nothing has been read, so nothing is removed for its age."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(days=30))
    await publish_one(redis_url, stream_prefix, Retention())
    assert await redis.xlen(key) == NODES + 1


async def test_max_unread_age_bounds_a_stream_without_groups(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Where no group has ever read, entries go beyond `max_unread_age`, not beyond `max_age`."""
    key = f"{stream_prefix}orders"
    retention = Retention(max_unread_age=timedelta(hours=24))
    await add_old_entries(redis, key, timedelta(hours=23))
    await publish_one(redis_url, stream_prefix, retention)
    assert await redis.xlen(key) == NODES + 1
    await redis.delete(key)
    await add_old_entries(redis, key, timedelta(hours=25))
    await publish_one(redis_url, stream_prefix, retention)
    assert await redis.xlen(key) <= 101


async def test_younger_entries_stay(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Entries within `max_age` are all kept."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(minutes=30))
    await publish_one(redis_url, stream_prefix, Retention())
    assert await redis.xlen(key) == NODES + 1


async def test_unread_entries_stay(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """What a group has not read outlives `max_age`."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(hours=2))
    await redis.xgroup_create(key, "readers", id="0")
    await publish_one(redis_url, stream_prefix, Retention())
    assert await redis.xlen(key) == NODES + 1


async def test_without_the_guard_unread_entries_are_lost(redis: Any, stream_prefix: str) -> None:
    """Control: XADD with MINID, as redis-py users trim, drops what a group has not read."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(hours=2))
    await redis.xgroup_create(key, "readers", id="0")
    seconds, _ = await redis.time()
    await redis.xadd(key, {"data": "new"}, minid=(seconds - 3600) * 1000)
    assert await redis.xlen(key) <= 101


async def test_unacknowledged_entries_stay(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """What a group has read but not acknowledged outlives `max_age`, from its first pending entry on."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(hours=2))
    await redis.xgroup_create(key, "readers", id="0")
    read = await redis.xreadgroup("readers", "one", {key: ">"}, count=NODES)
    await redis.xack(key, "readers", *[entry_id for entry_id, _ in _first(read)[:120]])
    await publish_one(redis_url, stream_prefix, Retention())
    left = await redis.xrange(key, count=1)
    assert left[0][0] <= _first(read)[120][0]


async def test_acknowledged_entries_go(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """What every group has read and acknowledged is trimmed beyond `max_age`."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(hours=2))
    await redis.xgroup_create(key, "readers", id="$")
    await publish_one(redis_url, stream_prefix, Retention())
    assert await redis.xlen(key) <= 101


async def test_slowest_group_counts(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """With one group done and one that has read nothing, nothing goes."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(hours=2))
    await redis.xgroup_create(key, "fast", id="$")
    await redis.xgroup_create(key, "slow", id="0")
    await publish_one(redis_url, stream_prefix, Retention())
    assert await redis.xlen(key) == NODES + 1


async def test_unread_entries_go_beyond_their_own_limit(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Beyond `max_unread_age` entries go, read or not."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(hours=25))
    await redis.xgroup_create(key, "readers", id="0")
    await publish_one(redis_url, stream_prefix, Retention(max_unread_age=timedelta(hours=24)))
    assert await redis.xlen(key) <= 101


async def test_unread_entries_have_no_limit_by_default(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """By default unread entries stay however old they are."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(days=30))
    await redis.xgroup_create(key, "readers", id="0")
    await publish_one(redis_url, stream_prefix, Retention())
    assert await redis.xlen(key) == NODES + 1


async def test_max_length_is_a_hard_limit(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Beyond `max_length` the oldest entries go, by whole nodes."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(minutes=1))
    await publish_one(redis_url, stream_prefix, Retention(max_length=100))
    assert await redis.xlen(key) < 201


async def test_id_of_the_future_makes_nothing_old(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Ids that run ahead of the server's clock, as after it was set back, do not age the entries before them."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(minutes=30))
    seconds, _ = await redis.time()
    await redis.xadd(key, {"data": "future"}, id=f"{(seconds + 30 * 86_400) * 1000}-0")
    await publish_one(redis_url, stream_prefix, Retention())
    assert await redis.xlen(key) == NODES + 2


async def test_everything_stays_without_limits(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """With all limits off nothing is ever trimmed."""
    key = f"{stream_prefix}orders"
    await add_old_entries(redis, key, timedelta(days=400))
    await redis.xgroup_create(key, "readers", id="$")
    await publish_one(redis_url, stream_prefix, Retention(max_age=None, max_unread_age=None, max_length=None))
    assert await redis.xlen(key) == NODES + 1


def _first(reply: object) -> list[tuple[bytes, object]]:
    """Return the entries of the only stream in an XREADGROUP reply, of either protocol."""
    streams = list(reply.items()) if isinstance(reply, dict) else list(reply)  # type: ignore[call-overload]
    found = streams[0][1]
    return list(found[0]) if found and isinstance(found[0], list) else list(found)
