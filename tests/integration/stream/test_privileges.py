"""What the stream stage asks of the server: users may be given these rights alone."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP
from support.redis_streams import RedisHarness

from domainstream.publisher import Retention
from domainstream.stream import RedisConsumerLease, RedisIdleConsumerReaper, RedisStreamTrimmer
from domainstream.testing.dead_letter_contract import store
from domainstream.testing.stream_contract import FIRST, SECOND, read_all, read_some

READER: Final = (
    "+xreadgroup +xack +xpending +xautoclaim +xgroup|create +xgroup|setid +xinfo|groups +xinfo|stream +xrange +eval"
)
DEAD_LETTERS: Final = "+eval +evalsha +script|load +xpending +xadd +xack"
REDRIVE: Final = "+eval +evalsha +script|load +xrange +xadd +xdel"
JANITOR: Final = "+eval +evalsha +script|load +get +set +del +exists +time +xinfo|groups +xpending +xtrim"
LEASE: Final = "+eval +evalsha +script|load +get +set +del +pttl +pexpire"
IDLE_CONSUMERS: Final = "+eval +evalsha +script|load +xinfo|consumers +xgroup|delconsumer"


class Restricted:
    """A user with the rights of one part; everything on the server stays inside the test's own keys."""

    def __init__(self, harness: RedisHarness, url: str, redis: Redis) -> None:
        self.harness = harness
        self._url = url
        self._redis = redis
        self._user = harness.streams.prefix.strip(":")

    async def to(self, rights: str) -> None:
        """Give the user these rights, and let the harness connect as this user."""
        commands = ["-@all", *rights.split()]
        keys = [f"*{self.harness.streams.prefix}*"]
        await self._redis.acl_setuser(
            self._user, enabled=True, reset=True, passwords=["+pass"], keys=keys, commands=commands
        )
        self.harness.url = self._url.replace("redis://", f"redis://{self._user}:pass@")

    async def remove(self) -> None:
        """Remove the user."""
        await self._redis.acl_deluser(self._user)


@pytest.fixture
async def restricted(harness: RedisHarness, redis_url: str, redis: Redis) -> AsyncIterator[Restricted]:
    """A user who may do nothing yet."""
    restricted = Restricted(harness, redis_url, redis)
    yield restricted
    await restricted.remove()


async def test_rights_of_a_reader(harness: RedisHarness, restricted: Restricted) -> None:
    """Reading, recovery, losses and healing need these commands, on the streams' keys."""
    await harness.add(FIRST, b"left alone")
    await harness.redis.xgroup_create(harness.key(FIRST), GROUP, id="0")
    await harness.redis.xreadgroup(GROUP, "crashed", {harness.key(FIRST): ">"})
    await harness.make_idle(FIRST)
    await restricted.to(READER)
    reader = harness.reader()
    await read_all(reader, 1)
    await harness.add(FIRST, b"lost")
    await harness.trim(FIRST, keep=0)
    await reader.read()
    await harness.destroy_group(SECOND)
    await reader.read()
    counts = reader.stats
    assert counts.reclaimed == 1
    assert counts.lost == 1
    assert counts.recreated == 1


async def test_rights_around_dead_letters(harness: RedisHarness, restricted: Restricted) -> None:
    """Burying needs other rights than sending back."""
    await restricted.to(f"{READER} {DEAD_LETTERS}")
    await store(harness, b"rubbish")
    await restricted.to(REDRIVE)
    assert len((await harness.redrive().redrive(FIRST)).entry_ids) == 1


async def test_rights_of_upkeep(
    harness: RedisHarness, restricted: Restricted, caplog: pytest.LogCaptureFixture
) -> None:
    """Trimmer, consumer lease and idle consumers run with these."""
    await harness.add_many(FIRST, 20)
    await read_some(harness.reader("another"))
    await restricted.to(JANITOR)
    prefix, retention = harness.streams.prefix, Retention(max_length=10)
    trimmer = RedisStreamTrimmer.from_url(harness.url, [FIRST], retention=retention, prefix=prefix)
    await trimmer.run_once()
    await trimmer.close()
    await restricted.to(LEASE)
    async with Redis.from_url(harness.url) as client:
        lease = RedisConsumerLease(client, [FIRST], group=GROUP, consumer="one", prefix=prefix)
        for step in (lease.acquire, lease.run_once, lease.close):
            await step()
    assert "stream.consumer_unguarded" not in caplog.text
    await restricted.to(IDLE_CONSUMERS)
    tidy = RedisIdleConsumerReaper.from_url(
        harness.url, [FIRST], group=GROUP, consumer="one", prefix=prefix, idle=timedelta(hours=1)
    )
    await tidy.run_once()
    await tidy.close()
    assert await harness.length(FIRST) == 10
