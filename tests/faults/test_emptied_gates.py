"""What keeps jobs in order is gone when they are done, however many there were."""

import random
from typing import Final

import pytest
from faults.children.keyed_worker import CALM, TURNS, KeyedWorkerOrder, run_keyed_worker
from faults.children.subscriber import QUEUES
from faults.conftest import Report
from faults.publishing import channel_for
from faults.scene import Scene
from faults.sizes import Size
from support.consuming import EVALUATED, evaluated

from domainstream import EventProducer, RedisStreamPublisherClient, Retention
from domainstream.queue.bullmq.order import BullMQOrder

PER_KEY: Final = 20
"""How many events each key has, on average, so that most keys come and go several times."""

WAVE: Final = 2_000
"""Events that are published at a time, once fewer than these wait."""

QUEUE: Final = QUEUES[1]
STATES: Final = ("wait", "prioritized", "active", "delayed", "waiting-children")
FIXED: Final = {"order:rule", "order:tended", "order:logged", "order:events", "order:meta", "order:marker"}
"""Keys of the order that do not grow with the jobs."""


@pytest.mark.one_server
async def test_nothing_is_left(scene: Scene, size: Size, chance: random.Random, report: Report) -> None:
    """After many events of many keys, some of which failed, a queue has no list, gate or key of them."""
    scene.subscriber(keyed=True, on_failure="hold", forgetful=True, lease=10.0)
    order = KeyedWorkerOrder(url=scene.server.url, ledger=scene.ledger, failing=0.02, longest=0.0, concurrency=100)
    scene.child(run_keyed_worker, order)
    keys = size.forgotten_events // PER_KEY
    await publish(scene, size.forgotten_events, keys, chance)
    scene.ledger.note(CALM, "from now on")
    keeper, held = BullMQOrder(scene.redis), 0

    async def is_done() -> bool:
        nonlocal held
        found = [each.key async for each in keeper.held(QUEUE)]
        held += await keeper.retry(QUEUE, found)
        return not found and await unfinished(scene) == 0

    await scene.until(is_done)
    await scene.until(lambda: is_forgotten(scene))
    done = sum(line.startswith("done") for line in scene.ledger.read(TURNS))
    names = await keys_of_queue(scene)
    report(f"{done} events of {keys} keys, {held} held: {len(names)} keys left")
    assert done == size.forgotten_events
    assert {name for name in names if name.startswith("order:")} <= FIXED
    assert sum(name.startswith("event-") for name in names) <= 1, "the queue keeps one job that is done"


async def publish(scene: Scene, count: int, keys: int, chance: random.Random) -> None:
    """Publish events as fast as they are handled."""
    retention = Retention(max_age=None, max_length=20 * WAVE)
    async with RedisStreamPublisherClient.from_url(scene.server.url, retention=retention) as client:
        producer = EventProducer(client, channel_for=channel_for, source="coding")
        for _ in range(0, count, WAVE):
            await producer.publish_many([evaluated(aggregate_id=str(chance.randrange(keys))) for _ in range(WAVE)])

            async def few_wait() -> bool:
                return await unfinished(scene) < WAVE

            await scene.until(few_wait)


async def unfinished(scene: Scene) -> int:
    """Return how many entries and jobs are not done, those that have failed aside."""
    groups = await scene.redis.xinfo_groups(scene.stream(EVALUATED))
    if not groups:  # the subscriber has only just begun
        return int(await scene.redis.xlen(scene.stream(EVALUATED)))
    jobs = 0
    for state in STATES:
        count = scene.redis.llen if state in ("wait", "active") else scene.redis.zcard
        jobs += int(await count(scene.key(QUEUE, state)))
    return jobs + sum(int(group["pending"]) + int(group["lag"]) for group in groups)


async def is_forgotten(scene: Scene) -> bool:
    """Return whether the queue has looked at all keys since their last job was done."""
    return not await scene.redis.exists(scene.key(QUEUE, "order:keys"))


async def keys_of_queue(scene: Scene) -> list[str]:
    """Return the names of a queue's keys, without its prefix."""
    prefix = scene.key(QUEUE, "")
    return [key.decode().removeprefix(prefix) async for key in scene.redis.scan_iter(f"{prefix}*", count=1_000)]
