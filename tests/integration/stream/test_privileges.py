"""What the stream stage asks of the server: users may be given these rights alone."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
from redis.asyncio import Redis
from support.redis_streams import RedisHarness

from domainstream.publisher import Retention
from domainstream.stream import LeaseLostError, RedisStreamTrimmer
from domainstream.stream.inspection.commands import needed_by
from domainstream.testing.dead_letter_contract import store
from domainstream.testing.stream_contract import FIRST, Owner, texts

READER: Final = (
    "+eval +evalsha +multi +exec +time +hgetall +hmget +hset +hdel +pexpire +xreadgroup +xack +xpending +xclaim "
    "+xrange +xlen +xgroup|create +xgroup|setid +xinfo|groups +xinfo|consumers +xinfo|stream"
)
DEAD_LETTERS: Final = "+eval +evalsha +hdel +hmget +xpending +xadd +xack"
REDRIVE: Final = "+eval +evalsha +xrange +xadd +xdel"
JANITOR: Final = "+eval +evalsha +get +set +del +exists +time +xinfo|groups +xpending +xtrim"


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
    """Reading, claiming, losses and making a group again need these commands, on the streams' and leases' keys."""
    await harness.add(FIRST, b"left alone")
    await harness.read_as("crashed")
    await harness.make_idle(FIRST)
    await restricted.to(READER)
    owner = await Owner.of(harness.reader())
    assert texts((await owner.turn("claim")).deliveries) == [b"left alone"]
    for read in ("pending", "retry", "look", "renew"):
        await owner.turn(read)
    await harness.add(FIRST, b"lost")
    await harness.trim(FIRST, keep=0)
    loss = (await owner.turn()).loss
    assert loss
    assert loss.count == 1
    await harness.destroy_group(FIRST)
    with pytest.raises(LeaseLostError):
        await owner.turn()
    owner = await Owner.of(harness.reader())
    await owner.turn("release")


async def test_rights_around_dead_letters(harness: RedisHarness, restricted: Restricted) -> None:
    """Storing needs other rights than sending back."""
    await restricted.to(f"{READER} {DEAD_LETTERS}")
    await store(harness, b"rubbish")
    await restricted.to(REDRIVE)
    assert len((await harness.redrive().redrive(FIRST)).entry_ids) == 1


async def test_rights_of_a_trimmer(harness: RedisHarness, restricted: Restricted) -> None:
    """The trimmer runs with these."""
    await harness.add_many(FIRST, 20)
    await Owner.of(harness.reader())
    await restricted.to(JANITOR)
    prefix, retention = harness.streams.prefix, Retention(max_length=10)
    trimmer = RedisStreamTrimmer.from_url(harness.url, [FIRST], retention=retention, prefix=prefix)
    await trimmer.run_once()
    await trimmer.close()
    assert await harness.length(FIRST) == 10


@pytest.mark.parametrize("rights", [READER, DEAD_LETTERS, JANITOR])
def test_doctor_asks_for_them(rights: str) -> None:
    """The list for subscribers contains each of these commands."""
    assert set(rights.replace("+", "").split()) <= set(needed_by("subscriber"))
