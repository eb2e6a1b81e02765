"""What an event costs on a cluster: processor time of its primary, of a replica and of our process, for each step.

The figures are those of the least disturbed round: what else runs on the machine makes processor time dearer, never
cheaper. `scaling` computes with them. Run it alone: `python -m benchmarks.costs`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from benchmarks import backlog, working
from benchmarks.paths import BATCH, WINDOWS, publish_windows
from benchmarks.sample import Channel, channel_for, make_event
from domainstream import EventProducer, PublisherSettings, RedisStreamPublisherClient
from domainstream.event import EventEncoder, read_message
from domainstream.queue import BullMQQueue, Job, job_data
from domainstream.settings import Confirm
from domainstream.stream import Delivery
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import LabNode

ROUNDS = 3
BATCHED, ALONE, FORWARDED, LIVE = 50_000, 3_000, 30_000, 1_500
LIVE_RATE = 300
QUEUES = ("valuation", "billing")


class Cost(NamedTuple):
    """Microseconds of processor time for an event."""

    primary: float
    client: float
    replica: float = 0.0


class Step(NamedTuple):
    """A part of an event's way."""

    name: str
    prepare: Callable[[str, Redis], Awaitable[None]]
    run: Callable[[str], Awaitable[int]]
    """Returns for how many events it was done."""

    needs_replica: bool = False


async def nothing(_: str, redis: Redis) -> None:
    """Empty the cluster."""
    await redis.flushall()


async def fill_stream(_: str, redis: Redis) -> None:
    """Leave only a backlog in the stream."""
    await backlog.fill(redis, FORWARDED)


async def fill_queue(url: str, redis: Redis) -> None:
    """Leave only jobs in the queue."""
    await redis.flushall()
    data = EventEncoder("coding").encode(make_event(0))
    data = job_data(Delivery("stream", "1700000000123-0", data), read_message(data))
    queue = BullMQQueue.from_url(url)
    for start in range(0, working.JOBS, BATCH):
        await queue.add([Job(working.QUEUE, "price-stay", f"event-{start + index}", data) for index in range(BATCH)])
    await queue.close()


async def publish_batches(url: str) -> int:
    """Publish in batches of 500, four at a time."""
    await publish_windows(url, BATCHED)
    return BATCHED + BATCH * WINDOWS


async def publish_alone(url: str, *, count: int = ALONE, rate: float = 1e9, confirm: Confirm | None = None) -> int:
    """Publish one event after the other."""
    async with RedisStreamPublisherClient.from_settings(PublisherSettings(url=url, confirm=confirm)) as client:
        producer = EventProducer(client, channel_for=channel_for, source="coding")
        due = time.perf_counter()
        for number in range(count):
            await producer.publish(make_event(number))
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()) if rate < 1e9 else 0)
    return count


async def publish_confirmed(url: str) -> int:
    """The same, waiting for the replica each time."""
    return await publish_alone(url, confirm=1)


async def forward_to_one(url: str) -> int:
    """Carry a backlog to one queue."""
    await backlog.ours(url, QUEUES[:1], FORWARDED)
    return FORWARDED


async def forward_to_two(url: str) -> int:
    """Carry a backlog to two queues."""
    await backlog.ours(url, QUEUES, FORWARDED)
    return FORWARDED


async def publish_and_forward(url: str) -> int:
    """Publish slowly, and carry each event to one queue as it comes."""
    handlers = [to_queue(QUEUES[0], job="price-stay")]
    subscriptions = create_multiple_handlers({Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED: handlers})
    async with RedisBullMQStreamSubscriber.from_url(url, group="live", subscriptions=subscriptions) as subscriber:
        running = asyncio.create_task(subscriber.run())
        await publish_alone(url, count=LIVE, rate=LIVE_RATE)
        while subscriber.stats.forwarded < LIVE:  # noqa: ASYNC110 - a count, which nobody announces
            await asyncio.sleep(0.005)
        subscriber.stop()
        await running
    return LIVE


async def work(url: str) -> int:
    """Work off a backlog of jobs, 50 at a time, with handlers that do nothing."""
    await working.ours(url, 50)
    return working.JOBS


STEPS = (
    Step("publish, batches of 500", nothing, publish_batches),
    Step("publish, one by one", nothing, publish_alone),
    Step("publish, one by one, confirm=1", nothing, publish_confirmed, needs_replica=True),
    Step("forward a backlog to 1 queue", fill_stream, forward_to_one),
    Step("forward a backlog to 2 queues", fill_stream, forward_to_two),
    Step("publish and forward, one by one", nothing, publish_and_forward),
    Step("work off a backlog of jobs", fill_queue, work),
)


async def measure(lab: ClusterLab) -> dict[str, Cost]:
    """Take every step several times; return the least costs."""
    primary, *_ = lab.nodes
    costs: dict[str, list[Cost]] = {}
    async with Redis.from_url(primary.url) as redis:
        for _ in range(ROUNDS):
            for step in STEPS:
                if step.needs_replica and len(lab.nodes) == 1:
                    continue
                await step.prepare(lab.url, redis)
                before = spent(lab.nodes)
                count = await step.run(lab.url)
                used = [(end - start) * 1e6 / count for start, end in zip(before, spent(lab.nodes), strict=True)]
                costs.setdefault(step.name, []).append(Cost(used[1], used[0], *used[2:]))
    return {name: Cost(*map(min, zip(*rounds, strict=True))) for name, rounds in costs.items()}


def spent(nodes: Sequence[LabNode]) -> list[float]:
    """Return the seconds of processor time that this process and the nodes have used."""
    return [time.process_time(), *map(processor_time, nodes)]


def processor_time(node: LabNode) -> float:
    """Return the seconds of processor time that a server has used."""
    used: dict[str, Any] = node.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def main() -> None:
    """Measure and print."""
    with ClusterLab(1, 0) as lab:
        alone = asyncio.run(measure(lab))
    with ClusterLab(1, 1) as lab:
        costs = asyncio.run(measure(lab))
    columns = ("primary alone", "with a replica", "replica", "client")
    print(f"{'microseconds of processor time for an event':46}" + "".join(f"{column:>16}" for column in columns))
    for name, cost in costs.items():
        figures = [f"{alone[name].primary:.1f}" if name in alone else "-"]
        figures += [f"{figure:.1f}" for figure in (cost.primary, cost.replica, cost.client)]
        print(f"{name:46}" + "".join(f"{figure:>16}" for figure in figures))


if __name__ == "__main__":
    main()
