"""The subscriber on a real server."""

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    BullJobs,
    Streams,
    calculated,
    evaluated,
    running,
    subscriptions_of,
    until,
)

from domainstream.errors import MissingExtraError
from domainstream.subscriber import RedisBullMQStreamSubscriber

Open = Callable[..., RedisBullMQStreamSubscriber]


@pytest.fixture
def open_subscriber(redis_url: str, streams: Streams, bull_prefix: str) -> Open:
    """A function that opens a subscriber under the same consumer name each time."""
    return partial(
        RedisBullMQStreamSubscriber.from_url,
        redis_url,
        group=GROUP,
        subscriptions=subscriptions_of("valuation"),
        prefix=streams.prefix,
        bull_prefix=bull_prefix,
    )


async def test_job_data_says_where_the_event_came_from(
    open_subscriber: Open, streams: Streams, valuation: BullJobs
) -> None:
    """A consumer of the original system finds `_redisEvent` and `correlationId` in the job's data."""
    event = evaluated(correlation_id="stay-7")
    entry_id = await streams.add(event)
    async with running(open_subscriber()):
        await until(valuation.ids)
    data = json.loads((await valuation.fields(f"event-{event.id}"))["data"])
    timestamp = int(entry_id.split("-")[0])
    assert data["_redisEvent"] == {"name": EVALUATED.value, "id": entry_id, "timestamp": timestamp}
    assert data["correlationId"] == "stay-7"
    assert data["id"] == event.id
    assert data["data"] == {"score": 0.5}


async def test_undecodable_entry_becomes_a_dead_letter(
    open_subscriber: Open, streams: Streams, valuation: BullJobs
) -> None:
    """The dead-letter stream has the cause, the origin and the unchanged data; the next event is forwarded."""
    entry_id = await streams.add_data(EVALUATED, data=b"\xff rubbish")
    event = evaluated()
    await streams.add(event)
    async with running(open_subscriber()):
        assert await until(valuation.ids) == [f"event-{event.id}"]
        (dead_letter,) = await until(lambda: streams.dead(EVALUATED))
    assert dead_letter.pop(b"reason").startswith(b"the message was rejected")
    assert dead_letter == {
        b"error": b"HostileJsonError",
        b"channel": EVALUATED.encode(),
        b"group": GROUP.encode(),
        b"entry_id": entry_id.encode(),
        b"data": b"\xff rubbish",
    }
    assert await streams.pending(EVALUATED) == 0


async def test_channel_without_handlers_is_acknowledged(open_subscriber: Open, streams: Streams) -> None:
    """Entries of a channel without handlers do not stay pending."""
    entry_id = await streams.add(calculated())

    async def read_and_settled() -> bool:
        groups: Any = await streams.redis.xinfo_groups(streams.key(CALCULATED))
        return bool(groups and groups[0]["last-delivered-id"].decode() == entry_id and groups[0]["pending"] == 0)

    async with running(open_subscriber()):
        await until(read_and_settled)


@pytest.mark.parametrize("destroy", ["group", "stream"])
async def test_vanished_group_is_recreated(
    open_subscriber: Open, streams: Streams, valuation: BullJobs, redis: Redis, destroy: str
) -> None:
    """After a group is destroyed or a stream deleted, the subscriber goes on, and forwards nothing twice."""
    first, second = evaluated(), evaluated()
    await streams.add(first)
    async with running(open_subscriber()):
        await until(valuation.ids)
        if destroy == "group":
            await redis.xgroup_destroy(streams.key(EVALUATED), GROUP)
        else:
            await redis.delete(streams.key(EVALUATED))
        await streams.add(second)

        async def both() -> list[str] | None:
            ids = await valuation.ids()
            return ids if len(ids) > 1 else None

        assert await until(both) == [f"event-{first.id}", f"event-{second.id}"]


async def test_stop_while_idle_returns_soon(open_subscriber: Open, streams: Streams) -> None:
    """A subscriber that waits for new entries ends within two seconds of `stop`."""
    await streams.add(calculated())
    async with open_subscriber() as subscriber:
        task = asyncio.create_task(subscriber.run())
        await until(lambda: subscriber.stats.forwarded)
        subscriber.stop()
        async with asyncio.timeout(2):
            await task


async def test_cancelled_while_idle_leaves_nothing_open(open_subscriber: Open, streams: Streams) -> None:
    """A cancellation leaves no connection open: that would be a warning, and so an error."""
    await streams.add(calculated())
    async with open_subscriber() as subscriber:
        task = asyncio.create_task(subscriber.run())
        await until(lambda: subscriber.stats.forwarded)
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


def test_missing_package_is_reported_with_the_command(open_subscriber: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, opening a subscriber names the command that installs it."""
    monkeypatch.setitem(sys.modules, "bullmq.redis_connection", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'domainstream\[bullmq\]'"):
        open_subscriber()
