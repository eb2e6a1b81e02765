"""A relay between a real database and a real server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from integration.outbox.conftest import UrlOf
from redis.asyncio import Redis
from support.outboxes import SqlHarness
from support.publishing import entries

from domainstream.outbox import OutboxRelay
from domainstream.producer import OutgoingMessage
from domainstream.testing import EmbeddedServer, server_binaries
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.testing.outbox_harness import SETTINGS, outgoing


@pytest.fixture(params=["sqlite+aiosqlite", "postgresql+psycopg", "postgresql+asyncpg"])
async def outbox(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> AsyncIterator[SqlHarness]:
    """An outbox on each database, with each driver."""
    file = f"sqlite+aiosqlite:///{tmp_path}/outbox.db"
    url = file if "sqlite" in request.param else postgres_url().replace("postgresql+psycopg", request.param)
    harness = await SqlHarness(url).create()
    yield harness
    await harness.close()


@asynccontextmanager
async def running(outbox: SqlHarness, redis_url: str, prefix: str = "") -> AsyncIterator[OutboxRelay]:
    """Run a relay for the time of the block."""
    async with OutboxRelay.from_url(
        redis_url, database_url=outbox.url, table=outbox.table, prefix=prefix, settings=SETTINGS
    ) as relay:
        task = asyncio.create_task(relay.run())
        yield relay
        relay.stop()
        await task


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds in another process."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - a server says nothing by itself
            await asyncio.sleep(0.01)


def data_of(messages: list[OutgoingMessage], channel: str) -> list[bytes]:
    """Return what the stream of a channel must hold."""
    return [message.data for message in messages if message.channel == channel]


def numbered(*channels: str) -> list[OutgoingMessage]:
    """Return one message for each of these channels, each with data of its own."""
    made = [outgoing(channel) for channel in channels]
    return [OutgoingMessage(each.channel, each.event_id, each.event_id.encode()) for each in made]


async def test_rows_become_entries_once_each_though_replies_are_lost(
    outbox: SqlHarness, redis_url: str, redis: Redis, stream_prefix: str
) -> None:
    """Every row is one entry, in order, and the outbox is empty, although a tenth of the replies is lost."""
    messages = numbered(*["orders", "invoices"] * 50)
    await outbox.add(messages)
    async with FaultProxy(redis_url) as proxy:
        proxy.lose_share_of_replies_to(b"EVAL", 0.1, seed=1)
        async with running(outbox, proxy.url, stream_prefix) as relay:
            await until(lambda: _is_empty(outbox))
            assert (await relay.health()).ok
        assert proxy.faults
    for channel in ("orders", "invoices"):
        found = [data for _, data in await entries(redis, stream_prefix + channel)]
        assert found == data_of(messages, channel)


async def test_relays_share_an_outbox(outbox: SqlHarness, redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """Of two relays one is active; the other takes over at once when it stops."""
    messages = numbered(*["orders"] * 20)
    async with running(outbox, redis_url, stream_prefix) as first:
        await until(lambda: _is_active(first))
        async with running(outbox, redis_url, stream_prefix) as second:
            await outbox.add(messages[:10])
            await until(lambda: _is_empty(outbox))
            assert second.stats.takeovers == 0
            first.stop()
            # Until it has given its lease back, it may publish what is added meanwhile.
            await until(lambda: _is_active(second))
            await outbox.add(messages[10:])
            await until(lambda: _is_empty(outbox))
            assert (second.stats.takeovers, second.stats.published) == (1, 10)
    assert [data for _, data in await entries(redis, f"{stream_prefix}orders")] == data_of(messages, "orders")


async def test_channel_that_is_no_stream_is_held_and_released(
    outbox: SqlHarness, redis_url: str, redis: Redis, stream_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """While a channel's key has another type its rows wait in the outbox; afterwards they follow in order."""
    caplog.set_level(logging.INFO)
    await redis.set(f"{stream_prefix}broken", "text")
    messages = numbered(*["broken", "orders"] * 10)
    await outbox.add(messages)
    async with running(outbox, redis_url, stream_prefix) as relay:
        await until(lambda: _has(redis, f"{stream_prefix}orders", 10))
        assert "WRONGTYPE" in relay.stats.held["broken"].reason
        await redis.delete(f"{stream_prefix}broken")
        await outbox.pass_time(120)
        await until(lambda: _is_empty(outbox))
    assert [data for _, data in await entries(redis, f"{stream_prefix}broken")] == data_of(messages, "broken")
    assert "outbox.channel_released channel=broken" in caplog.text


@pytest.mark.parametrize("binary", server_binaries(), ids=lambda binary: binary.kind)
async def test_flushed_server_is_reported_at_the_repeat(
    outbox: SqlHarness, binary: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """FLUSHALL between a batch and its repeat makes the relay report that the batch may be there twice, once."""
    with EmbeddedServer(binary.path) as server:
        async with Redis.from_url(server.url) as redis, FaultProxy(server.url) as proxy:
            await outbox.add(numbered("orders"))
            async with running(outbox, proxy.url):
                await until(lambda: _is_empty(outbox))
                proxy.lose_replies_to(b"EVALSHA", 10_000)
                await outbox.add(numbered("orders", "orders"))
                await until(lambda: _has(redis, "orders", 3))
            assert "outbox.server_lost_memory" not in caplog.text
            await redis.flushall()
            async with running(outbox, server.url):
                await until(lambda: _is_empty(outbox))
            assert await redis.xlen("orders") == 2
    reported = [record.message for record in caplog.records if "server_lost_memory" in record.message]
    assert reported == ["outbox.server_lost_memory rows=2"]


async def _is_empty(outbox: SqlHarness) -> bool:
    return not await outbox.stored()


async def _is_active(relay: OutboxRelay) -> bool:
    return relay.stats.is_active


async def _has(redis: Redis, key: str, count: int) -> bool:
    return int(await redis.xlen(key)) == count
