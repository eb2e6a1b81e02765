"""Two subscribers under one consumer name: the second is refused; one that was killed is succeeded at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from domainstream.stream.maintenance.consumer_lease import WATCH
from redis.asyncio import Redis
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    PATIENCE,
    BullJobs,
    Streams,
    evaluated,
    running,
    subscriptions_of,
    until,
)

from domainstream.errors import ConfigurationError
from domainstream.lifecycle import cancel_and_wait
from domainstream.redis.keys import companion_key
from domainstream.stream import RedisConsumerLease
from domainstream.subscriber import RedisBullMQStreamSubscriber
from domainstream.testing import EmbeddedServer

NAME = "host-subscriber"

Open = Callable[..., RedisBullMQStreamSubscriber]
Lease = Callable[..., RedisConsumerLease]


@pytest.fixture
def open_subscriber(redis_url: str, streams: Streams, bull_prefix: str) -> Open:
    """A function that opens a subscriber."""
    return partial(
        RedisBullMQStreamSubscriber.from_url,
        redis_url,
        group=GROUP,
        subscriptions=subscriptions_of("valuation"),
        consumer=NAME,
        prefix=streams.prefix,
        bull_prefix=bull_prefix,
    )


@pytest.fixture
async def lease(redis: Redis, stream_prefix: str) -> AsyncIterator[Lease]:
    """A function that makes the lease of a process; what is left of it is given back after the test."""
    made: list[RedisConsumerLease] = []

    def make(*channels: str, consumer: str = NAME, client: Redis = redis) -> RedisConsumerLease:
        made.append(
            RedisConsumerLease(
                client, channels or (EVALUATED, CALCULATED), group=GROUP, consumer=consumer, prefix=stream_prefix
            )
        )
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def renew(*leases: RedisConsumerLease) -> None:
    """Renew leases as a subscriber does."""
    while True:
        for each in leases:
            await each.run_once()
        await asyncio.sleep(leases[0].every.total_seconds())


async def test_second_subscriber_of_a_name_is_refused(
    open_subscriber: Open, streams: Streams, valuation: BullJobs
) -> None:
    """The error of the second one says who uses the name and what to pass; the first one goes on."""
    async with open_subscriber() as first, running(first):
        await streams.add(evaluated())
        await until(valuation.ids)
        async with open_subscriber() as second:
            with pytest.raises(
                ConfigurationError, match=r"(?s)'host-subscriber' .* in use by process \d+ on .*consumer="
            ):
                async with asyncio.timeout(PATIENCE):
                    await second.run()
        await streams.add(evaluated())

        async def both() -> bool:
            return len(await valuation.ids()) == 2

        await until(both)


async def test_subscribers_with_names_of_their_own_share_a_group(open_subscriber: Open, streams: Streams) -> None:
    """Any number of subscribers run on one host under different names."""
    first, second = open_subscriber(), open_subscriber(consumer="another")
    async with first, second, running(first), running(second):
        await until(lambda: are_held(streams, 2))


async def are_held(streams: Streams, consumers: int) -> bool:
    """Return whether so many consumers hold their names on both streams."""
    keys = [key async for key in streams.redis.scan_iter(f"*{streams.prefix}*:consumer:*")]
    return len(keys) == 2 * consumers


async def test_stopped_subscriber_gives_its_name_back(open_subscriber: Open, streams: Streams) -> None:
    """After a subscriber was closed, nothing is left of its lease, so the next one starts at once."""
    async with open_subscriber() as subscriber, running(subscriber):
        await until(lambda: are_held(streams, 1))
    assert await are_held(streams, 0)


async def test_killed_subscriber_is_succeeded_within_seconds(
    open_subscriber: Open, streams: Streams, valuation: BullJobs, lease: Lease, redis: Redis
) -> None:
    """A lease that nothing renews is taken over, and the successor begins with what is pending in that name."""
    await streams.add(evaluated())
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    await redis.xreadgroup(GROUP, NAME, {streams.key(EVALUATED): ">"})
    await lease().acquire()
    async with open_subscriber() as successor, running(successor):
        await until(valuation.ids)
    assert await streams.pending(EVALUATED) == 0


async def test_answer_that_is_read_late_says_nothing_about_now(lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    """A successor whose event loop is blocked while it starts up is not refused for what was true before."""
    await lease().acquire()
    successor = lease()
    take = successor._take

    async def taken_late(**arguments: Any) -> Any:
        monkeypatch.setattr(successor, "_take", take)
        answer = await take(**arguments)
        time.sleep(WATCH + 0.1)  # noqa: ASYNC251 - as a program that imports its modules does
        return answer

    monkeypatch.setattr(successor, "_take", taken_late)
    await successor.acquire()


async def test_holder_that_was_succeeded_ends(
    open_subscriber: Open, lease: Lease, redis: Redis, streams: Streams
) -> None:
    """A subscriber whose name was taken over while it was suspended stops, with an error that says so."""
    async with open_subscriber() as subscriber:
        run = asyncio.create_task(subscriber.run())
        await until(lambda: are_held(streams, 1))
        key = companion_key(streams.key(EVALUATED), f"consumer:{GROUP}:{NAME}")
        await redis.set(key, "process 1 on another-host", px=60_000)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConfigurationError, match="in use by process 1 on another-host"):
                await run


async def test_name_on_other_streams_is_free(lease: Lease) -> None:
    """Programs that read different streams may use the same name, and a refused one holds none of them."""
    first, second = lease("first_channel"), lease("second_channel")
    await first.acquire()
    await second.acquire()
    renewing = asyncio.create_task(renew(first, second))
    try:
        with pytest.raises(ConfigurationError):
            await lease("third_channel", "first_channel", "second_channel").acquire()
        await lease("third_channel").acquire()
    finally:
        await cancel_and_wait(renewing)  # once is not enough: redis-py may swallow it on Python 3.11
    assert renewing.cancelled()


async def test_renewal_needs_no_memory(stream_prefix: str) -> None:
    """A lease is renewed while the server's memory is full, and a subscriber that starts then is let through."""
    with EmbeddedServer() as server:
        async with Redis.from_url(server.url) as redis:
            of = partial(RedisConsumerLease, redis, [EVALUATED], group=GROUP, prefix=stream_prefix)
            held, late = of(consumer="held"), of(consumer="late")
            await held.acquire()
            await redis.config_set("maxmemory", "1")
            key = companion_key(f"{stream_prefix}{EVALUATED}", f"consumer:{GROUP}:held")
            await redis.pexpire(key, 1_000)
            await held.run_once()
            assert await redis.pttl(key) > 1_000
            await late.acquire()
            await redis.config_set("maxmemory", "0")
            await late.run_once()
            assert await redis.exists(companion_key(f"{stream_prefix}{EVALUATED}", f"consumer:{GROUP}:late"))


async def test_user_without_the_rights_is_let_through_with_a_warning(
    redis: Redis, redis_url: str, stream_prefix: str, lease: Lease, caplog: pytest.LogCaptureFixture
) -> None:
    """A subscriber that may read but not hold a lease runs; the log says that its name is not guarded."""
    user = stream_prefix.strip(":")
    await redis.acl_setuser(
        user, enabled=True, reset=True, passwords=["+pass"], keys=["*"], commands=["+eval", "+evalsha"]
    )
    async with Redis.from_url(redis_url.replace("redis://", f"redis://{user}:pass@")) as restricted:
        guard = lease(client=restricted)
        await guard.acquire()
        await guard.run_once()
    await redis.acl_deluser(user)
    assert caplog.text.count(f"stream.consumer_unguarded group={GROUP} consumer={NAME} reason=") == 1


async def test_control_without_a_lease_both_get_the_same_entry(redis: Redis, streams: Streams) -> None:
    """Control: Redis delivers what is pending in a name to every process that reads under it."""
    await streams.add(evaluated())
    key = streams.key(EVALUATED)
    await redis.xgroup_create(key, GROUP, id="0")
    (first,) = await redis.xreadgroup(GROUP, NAME, {key: ">"})
    (second,) = await redis.xreadgroup(GROUP, NAME, {key: "0"})
    assert first == second
