"""Who shares a group's streams: whoever has said so lately by the server's clock, and reads the same streams."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from domainstream.errors import ServerUnavailableError
from domainstream.redis.call_lane import CallLanes
from domainstream.redis.keys import stream_key
from domainstream.stream.reader.members import RedisGroupMembers
from domainstream.testing import EmbeddedServer, server_binaries
from domainstream.testing.fault_proxy import FaultProxy

LONG = timedelta(seconds=60)
STREAMS = ("orders:p0", "orders:p1")


class Group:
    """Makes members of one group."""

    def __init__(self, url: str, prefix: str, owned: AsyncExitStack) -> None:
        self._url, self._prefix, self._owned = url, prefix, owned

    def member(
        self, instance: str, *, term: timedelta = LONG, streams: tuple[str, ...] = STREAMS, url: str = ""
    ) -> RedisGroupMembers:
        """Return a member with a connection of its own."""
        lanes = CallLanes(url or self._url)
        self._owned.push_async_callback(lanes.close)
        return RedisGroupMembers(lanes, streams, group="g", instance=instance, prefix=self._prefix, term=term)


@pytest.fixture
async def group(redis_url: str, stream_prefix: str) -> AsyncIterator[Group]:
    """A group on one server."""
    async with AsyncExitStack() as owned:
        yield Group(redis_url, stream_prefix, owned)


async def until(seen: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until it is so."""
    async with asyncio.timeout(10):
        for _ in count():
            if await seen():
                return
            await asyncio.sleep(0.005)


async def test_members_hear_of_each_other(group: Group) -> None:
    """Each member learns of all, itself included; one that leaves is gone at once."""
    one, two = group.member("one"), group.member("two")
    assert await one.beat() == {"one"}
    assert await two.beat() == {"one", "two"}
    assert await one.beat() == {"one", "two"}
    await two.leave()
    assert await one.beat() == {"one"}


async def test_silent_member_is_gone_after_its_term(group: Group) -> None:
    """A member that was killed stays for its term, and no longer."""
    one, killed = group.member("one"), group.member("killed", term=timedelta(milliseconds=200))
    await killed.beat()
    assert await one.beat() == {"one", "killed"}

    async def is_alone() -> bool:
        return await one.beat() == {"one"}

    await until(is_alone)


async def test_instances_with_other_streams_are_apart(group: Group) -> None:
    """During a deployment instances that know a new channel do not leave it to those that do not."""
    old, new = group.member("old"), group.member("new", streams=(*STREAMS, "invoices"))
    await old.beat()
    assert await new.beat() == {"new"}
    assert await old.beat() == {"old"}


async def test_clock_that_goes_back_keeps_nobody(group: Group, redis: Any, stream_prefix: str) -> None:
    """A member whose term would end far ahead, because the server's clock was set back, is gone after a term."""
    one, gone = group.member("one", term=timedelta(milliseconds=300)), group.member("gone")
    await gone.beat()

    async def is_alone() -> bool:
        return await one.beat() == {"one"}

    await until(is_alone)
    assert await redis.zcard(stream_key("g:members", stream_prefix)) == 1


async def test_key_of_an_idle_group_expires(group: Group, redis: Any, stream_prefix: str) -> None:
    """Nothing is left of a group whose members are all gone."""
    await group.member("one").beat()
    assert 0 < await redis.pttl(stream_key("g:members", stream_prefix)) <= 60_000


async def test_full_server_keeps_its_members(stream_prefix: str) -> None:
    """Coming, staying and leaving work while the server's memory is full, as taking a lease does."""
    binary = next(iter(server_binaries()))
    async with AsyncExitStack() as owned:
        url = owned.enter_context(EmbeddedServer(binary.path)).url
        group = Group(url, stream_prefix, owned)
        one, two = group.member("one"), group.member("two")
        await one.beat()
        async with Redis.from_url(url) as redis:
            await redis.config_set("maxmemory", "1")
            with pytest.raises(OutOfMemoryError):
                await redis.set("control", "1")
        assert await two.beat() == {"one", "two"}
        await one.leave()
        assert await two.beat() == {"two"}


async def test_lost_reply_is_raised(group: Group, redis_url: str) -> None:
    """Without a reply it is unknown who is a member, and the next call asks again."""
    async with FaultProxy(redis_url) as proxy:
        one = group.member("one", url=proxy.url)
        await one.beat()
        proxy.lose_replies_to(b"EVALSHA", 1)
        with pytest.raises(ServerUnavailableError):
            await one.beat()
        assert await one.beat() == {"one"}
