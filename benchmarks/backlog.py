"""A backlog in one stream, for those who carry it to queues. The paths: ours, Python's `addBulk`, Node's `addBulk`."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import bullmq
import msgspec
from redis.asyncio import Redis

from benchmarks.node_peers import run_bridge
from benchmarks.sample import EVENT_TYPE, Channel, make_event
from domainstream.event import EventEncoder, EventMessage
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue

BATCH = 500
GROUP = "bridge"
KEPT = {"removeOnComplete": {"age": 3600}}
_read = msgspec.json.Decoder().decode


async def fill(redis: Redis, count: int) -> None:
    """Empty the server and put `count` events into the stream."""
    await redis.flushall()
    encode = EventEncoder("coding").encode
    for start in range(0, count, BATCH):
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(start, min(start + BATCH, count)):
                pipe.xadd(EVENT_TYPE, {"data": encode(make_event(number))})
            await pipe.execute()


async def ours(
    url: str, queues: Sequence[str], count: int, *, order_by: Callable[[EventMessage], str] | None = None
) -> float:
    """Let our subscriber carry them, in order by keys if `order_by` returns these; return events per second."""
    handlers = [to_queue(queue, job="price-stay", order_by=order_by) for queue in queues]
    subscriptions = create_multiple_handlers({Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED: handlers})
    async with RedisBullMQStreamSubscriber.from_url(url, group=GROUP, subscriptions=subscriptions) as subscriber:
        started = time.perf_counter()
        running = asyncio.create_task(subscriber.run())
        while subscriber.stats.forwarded < count:  # noqa: ASYNC110 - a count, which nobody announces
            await asyncio.sleep(0.005)
        seconds = time.perf_counter() - started
        subscriber.stop()
        await running
    return count / seconds


async def python_bulk(url: str, queues: Sequence[str], count: int) -> float:
    """Read, `addBulk` to each queue, XACK: as one writes it with the package `bullmq`; return events per second."""
    async with Redis.from_url(url, protocol=2) as redis, Redis.from_url(url, decode_responses=True) as client:
        opened = [bullmq.Queue(queue, {"connection": client}) for queue in queues]
        await redis.xgroup_create(EVENT_TYPE, GROUP, id="0")
        started = time.perf_counter()
        done = 0
        while done < count:
            reply: Any = await redis.xreadgroup(GROUP, "peer", {EVENT_TYPE: ">"}, count=BATCH)
            ((_, entries),) = reply
            jobs = [_job(fields[b"data"]) for _, fields in entries]
            for queue in opened:
                await queue.addBulk(jobs)
            await redis.xack(EVENT_TYPE, GROUP, *(entry_id for entry_id, _ in entries))
            done += len(entries)
        return count / (time.perf_counter() - started)


def _job(data: bytes) -> dict[str, Any]:
    event = _read(data)
    return {"name": "price-stay", "data": event, "opts": {"jobId": f"event-{event['id']}", **KEPT}}


async def node_bulk(url: str, queues: Sequence[str], count: int) -> float:
    """Let the Node bridge carry them; return events per second."""
    measured = await run_bridge(url, stream=EVENT_TYPE, queues=queues, count=count, batch=BATCH)
    return measured.rate
