"""What the stream stage asks of the server: users may be given these rights alone."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP
from support.redis_streams import RedisHarness

from domainstream.publisher import Retention
from domainstream.stream import RedisIdleConsumerReaper, RedisStreamTrimmer
from domainstream.testing.dead_letter_contract import store
from domainstream.testing.stream_contract import FIRST, SECOND, read_all, read_some

READER: Final = (
    "+xreadgroup +xack +xpending +xautoclaim +xgroup|create +xgroup|setid +xinfo|groups +xinfo|stream +xrange +eval"
)
DEAD_LETTERS: Final = "+eval +evalsha +script|load +xpending +xadd +xack"
REDRIVE: Final = "+eval +evalsha +script|load +xrange +xadd +xdel"
JANITOR: Final = "+eval +evalsha +script|load +get +set +del +exists +time +xinfo|groups +xpending +xtrim"
IDLE_CONSUMERS: Final = "+eval +evalsha +script|load +xinfo|consumers +xgroup|delconsumer"


class Restricted:
    """A user with the rights of one part; everything on the server stays inside the test's own keys."""

    def __init__(self, place: RedisHarness, url: str, redis: Redis) -> None:
        self.place = place
        self._url = url
        self._redis = redis
        self._user = place.streams.prefix.strip(":")

    async def to(self, rights: str) -> None:
        """Give the user these rights, and let the place connect as this user."""
        commands = ["-@all", *rights.split()]
        keys = [f"*{self.place.streams.prefix}*"]
        await self._redis.acl_setuser(
            self._user, enabled=True, reset=True, passwords=["+pass"], keys=keys, commands=commands
        )
        self.place.url = self._url.replace("redis://", f"redis://{self._user}:pass@")

    async def remove(self) -> None:
        """Remove the user."""
        await self._redis.acl_deluser(self._user)


@pytest.fixture
async def restricted(place: RedisHarness, redis_url: str, redis: Redis) -> AsyncIterator[Restricted]:
    """A user who may do nothing yet."""
    restricted = Restricted(place, redis_url, redis)
    yield restricted
    await restricted.remove()


async def test_rights_of_a_reader(place: RedisHarness, restricted: Restricted) -> None:
    """Reading, recovery, losses and healing need these commands, on the streams' keys."""
    await place.add(FIRST, b"left alone")
    await place.redis.xgroup_create(place.key(FIRST), GROUP, id="0")
    await place.redis.xreadgroup(GROUP, "crashed", {place.key(FIRST): ">"})
    await place.make_idle(FIRST)
    await restricted.to(READER)
    reader = place.reader()
    await read_all(reader, 1)
    await place.add(FIRST, b"lost")
    await place.trim(FIRST, keep=0)
    await reader.read()
    await place.destroy_group(SECOND)
    await reader.read()
    counts = reader.stats
    assert counts.reclaimed == 1
    assert counts.lost == 1
    assert counts.recreated == 1


async def test_rights_around_dead_letters(place: RedisHarness, restricted: Restricted) -> None:
    """Burying needs other rights than sending back."""
    await restricted.to(f"{READER} {DEAD_LETTERS}")
    await store(place, b"rubbish")
    await restricted.to(REDRIVE)
    assert len((await place.redrive().redrive(FIRST)).entry_ids) == 1


async def test_rights_of_upkeep(place: RedisHarness, restricted: Restricted) -> None:
    """Janitor and idle consumers run with these."""
    await place.add_many(FIRST, 20)
    await read_some(place.reader("another"))
    await restricted.to(JANITOR)
    prefix, retention = place.streams.prefix, Retention(max_length=10)
    trimmer = RedisStreamTrimmer.from_url(place.url, [FIRST], retention=retention, prefix=prefix)
    await trimmer.run_once()
    await trimmer.close()
    await restricted.to(IDLE_CONSUMERS)
    tidy = RedisIdleConsumerReaper.from_url(
        place.url, [FIRST], group=GROUP, consumer="one", prefix=prefix, idle=timedelta(hours=1)
    )
    await tidy.run_once()
    await tidy.close()
    assert await place.length(FIRST) == 10
