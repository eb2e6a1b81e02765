"""A backlog in one stream, drained into handlers that do nothing, in one process. The paths: ours, FastStream's."""

import asyncio
import logging
import time

from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis

from benchmarks.sample import EVENT_TYPE, Channel, OptimizationEvaluated, PeerEvent, make_event, peer_event
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue
from domainstream.worker import EventConsumer, EventContext, EventWorker

GROUP = "drain"


class Countdown:
    """An event that is set after so many calls."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.done = asyncio.Event()

    def count(self) -> None:
        """Count one."""
        self._left -= 1
        if self._left == 0:
            self.done.set()


async def ours(url: str, count: int) -> float:
    """Subscriber and worker side by side; return events per second."""
    handlers = [to_queue("valuation", job="price-stay")]
    subscriptions = create_multiple_handlers({Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED: handlers})
    consumer, countdown = EventConsumer("valuation"), Countdown(count)

    @consumer.on(OptimizationEvaluated)
    async def handle(_: OptimizationEvaluated, __: EventContext) -> None:
        countdown.count()

    async with (
        RedisBullMQStreamSubscriber.from_url(url, group=GROUP, subscriptions=subscriptions) as subscriber,
        EventWorker.from_url(url, consumer) as worker,
    ):
        started = time.perf_counter()
        running = [asyncio.create_task(program.run()) for program in (subscriber, worker)]
        await countdown.done.wait()
        seconds = time.perf_counter() - started
        subscriber.stop()
        worker.stop()
        await asyncio.gather(*running)
    return count / seconds


async def fill_peer(url: str, redis: Redis, count: int) -> None:
    """Empty the server and put FastStream's events into the stream, with a group that has read none of them."""
    await redis.flushall()
    async with RedisBroker(url) as broker:
        for number in range(count):
            await broker.publish(peer_event(make_event(number)), stream=EVENT_TYPE)
    await redis.xgroup_create(EVENT_TYPE, GROUP, id="0")


async def faststream(url: str, count: int) -> float:
    """FastStream's stream subscriber; return events per second."""
    broker, countdown = RedisBroker(url, logger=logging.getLogger("peer")), Countdown(count)

    @broker.subscriber(stream=StreamSub(EVENT_TYPE, group=GROUP, consumer="peer", max_records=100))
    async def handle(_: PeerEvent) -> None:
        countdown.count()

    async with broker:
        started = time.perf_counter()
        await broker.start()
        await countdown.done.wait()
        return count / (time.perf_counter() - started)
