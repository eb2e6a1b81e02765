"""From an event's JSON in a stream to the handler that gets the typed event."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any

import pytest
from support.consuming import (
    EVALUATED,
    GROUP,
    OptimizationEvaluated,
    Streams,
    evaluated,
    running,
    subscriptions_of,
    until,
)

from domainstream.stream import RedisDeadLetterRedrive
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue
from domainstream.worker import EventConsumer, EventContext, EventWorker


async def test_event_in_stream_reaches_its_typed_handler(redis_url: str, streams: Streams, bull_prefix: str) -> None:
    """An event that is added to a stream reaches its handler, equal to what was published, with its origin."""
    event = evaluated(correlation_id="stay-7")
    entry_id = await streams.add(event)
    consumer = EventConsumer("valuation")
    handled: asyncio.Future[tuple[OptimizationEvaluated, EventContext]] = asyncio.get_running_loop().create_future()

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set_result((event, context))

    subscriber = RedisBullMQStreamSubscriber.from_url(
        redis_url,
        group=GROUP,
        subscriptions=subscriptions_of("valuation"),
        prefix=streams.prefix,
        bull_prefix=bull_prefix,
    )
    worker = EventWorker.from_url(redis_url, consumer, bull_prefix=bull_prefix)
    async with running(subscriber), running(worker), asyncio.timeout(10):
        arrived, context = await handled
    assert arrived == event
    assert context.job_id == f"event-{event.id}"
    assert context.job_name == "price-stay"
    assert context.attempt == 1
    assert context.channel == EVALUATED.value
    assert context.entry_id == entry_id
    assert context.correlation_id == "stay-7"
    assert context.timestamp == datetime.fromtimestamp(int(entry_id.split("-")[0]) / 1000, UTC)


def mixed(name: str) -> str:
    """Return a name as a member of an enum as it was written before `StrEnum`."""
    make: Any = Enum
    member: str = make("Mixed", {"NAME": name}, type=str).NAME
    return member


def modern(name: str) -> str:
    """Return a name as a member of a `StrEnum`."""
    make: Any = StrEnum
    member: str = make("Modern", {"NAME": name}).NAME
    return member


class Name(str):
    """A name that formats as something else."""

    __slots__ = ()

    def __format__(self, _: str) -> str:
        return "another"

    __str__ = __repr__ = lambda _: "another"


@pytest.mark.parametrize("kind", [mixed, modern, Name])
async def test_names_of_any_string_class_are_the_same_keys(
    redis_url: str, streams: Streams, bull_prefix: str, kind: Callable[[str], str]
) -> None:
    """A queue, job, group or prefix of a subclass of `str` is found by a worker that has the plain string."""
    event = evaluated()
    await streams.add(event)
    consumer = EventConsumer("valuation")
    handled: asyncio.Future[EventContext] = asyncio.get_running_loop().create_future()

    @consumer.on(OptimizationEvaluated, job="price-stay")
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set_result(context)

    listed: Any = {channel: [] for channel in type(EVALUATED)}
    listed[EVALUATED] = [to_queue(kind("valuation"), job=kind("price-stay"))]
    subscriber = RedisBullMQStreamSubscriber.from_url(
        redis_url,
        group=kind(GROUP),
        consumer=kind("reader-1"),
        subscriptions=create_multiple_handlers(listed),
        prefix=kind(streams.prefix),
        bull_prefix=kind(bull_prefix),
    )
    worker = EventWorker.from_url(redis_url, consumer, bull_prefix=bull_prefix)
    async with running(subscriber), running(worker), asyncio.timeout(10):
        context = await handled
        # A lease begins with a hash tag.
        found = [key.decode() async for key in streams.redis.scan_iter(f"*{streams.prefix}*")]
    keys = {key.replace(streams.prefix, "") for key in found}
    assert (context.job_name, context.channel) == ("price-stay", EVALUATED.value)
    assert EVALUATED.value in keys
    assert f"{{{EVALUATED.value}}}:lease:{GROUP}" in keys
    assert not [key for key in keys if "another" in key or "Mixed" in key or "NAME" in key]


async def test_foreign_entry_without_data_keeps_its_fields(redis_url: str, streams: Streams, bull_prefix: str) -> None:
    """An entry of another producer, whose event is in another field, becomes a dead letter with all its fields."""
    entry_id = await streams.add_data(EVALUATED, payload=b'{"score":1}', kind=b"\xff")
    subscriber = RedisBullMQStreamSubscriber.from_url(
        redis_url,
        group=GROUP,
        subscriptions=subscriptions_of("valuation"),
        prefix=streams.prefix,
        bull_prefix=bull_prefix,
    )
    redrive = RedisDeadLetterRedrive(streams.redis, prefix=streams.prefix)

    async def is_stored() -> bool:
        return bool(await redrive.page(EVALUATED))

    async with running(subscriber):
        await until(is_stored)
    (stored,) = await redrive.page(EVALUATED)
    delivery = stored.dead_letter.delivery
    assert (delivery.entry_id, delivery.data) == (entry_id, None)
    assert delivery.other == ((b"payload", b'{"score":1}'), (b"kind", b"\xff"))
