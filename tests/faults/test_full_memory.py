"""While the server's memory is full, publishers get errors; acknowledged events arrive once there is room."""

import asyncio
from typing import Any

import pytest
from faults.children.naive_bridge import Habit
from faults.children.worker import QUICK_RECOVERY
from faults.conftest import Report
from faults.ledger import HANDLED, PUBLISHED, REFUSED, UNCERTAIN
from faults.publishing import Publisher, events
from faults.scene import Scene, assert_handled, assert_once_and_in_order
from faults.sizes import Size
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError
from support.consuming import EVALUATED, GROUP

from domainstream import RedisStreamPublisherClient

pytestmark = pytest.mark.every_server

FULL = "the server's memory is full"
SKIPPED = "subscriber.refused"
"""Logged when the entry itself is rejected, which makes it a dead letter in the end."""

BATCH = 100
NO_LIMIT = 0


async def leave_room(redis: Redis, room: int) -> None:
    """Limit the memory of the server to what it uses and `room` bytes more."""
    memory: Any = await redis.info("memory")
    await redis.config_set("maxmemory", memory["used_memory"] + room)


async def leave_none(redis: Redis) -> None:
    """Let the server refuse from now on, also when it needs a little less than it does now."""
    await leave_room(redis, -1_000_000)
    with pytest.raises(OutOfMemoryError):
        await redis.set("more", "")


async def fill(scene: Scene) -> None:
    """Publish until the server refuses."""
    async with RedisStreamPublisherClient.from_url(scene.server.url) as client:
        publisher = Publisher(client, scene.ledger)
        while not scene.ledger.count(REFUSED):
            await publisher.publish_all(list(events(BATCH)))


@pytest.mark.parametrize("comes_first", [True, False], ids=["subscriber first", "subscriber last"])
async def test_acknowledged_events_arrive(scene: Scene, size: Size, report: Report, *, comes_first: bool) -> None:
    """Publishers get a typed error for events that are not stored; a subscriber waits for room and loses none."""
    if comes_first:
        scene.subscriber()
        await scene.publish(BATCH)
        await scene.forwarded(BATCH * 2)
    await leave_room(scene.redis, size.room)
    await fill(scene)
    if not comes_first:
        scene.subscriber()
    await scene.logged(FULL)
    assert {line.split()[1] for line in scene.ledger.read(REFUSED)} == {"ServerOutOfMemoryError"}
    assert scene.ledger.count(UNCERTAIN) == 0
    published = scene.ledger.count(PUBLISHED)
    report(f"{published} acknowledged, {scene.ledger.count(REFUSED)} refused, {await scene.waiting()} jobs when full")
    await scene.redis.config_set("maxmemory", NO_LIMIT)
    await scene.publish(BATCH)
    await scene.forwarded((published + BATCH) * 2)
    await assert_once_and_in_order(scene)
    assert scene.times_logged(SKIPPED) == 0


async def test_server_that_may_not_write(scene: Scene, size: Size) -> None:
    """Subscribers wait for a primary that lacks its required replicas, and then go on."""
    await scene.publish(size.handled_events)
    scene.subscriber(max_entries=20)
    await scene.until_waiting(size.handled_events // 4)
    await scene.redis.config_set("min-replicas-to-write", 1)
    await scene.logged("NOREPLICAS")
    await scene.redis.config_set("min-replicas-to-write", 0)
    await scene.forwarded(size.handled_events * 2)
    await assert_once_and_in_order(scene)
    assert scene.times_logged(SKIPPED) == 0


async def test_workers_go_on(scene: Scene, size: Size, report: Report) -> None:
    """Jobs of a server whose memory becomes full are all handled, and completed once there is room."""
    jobs = size.handled_events * 2
    scene.subscriber()
    await scene.publish(size.handled_events)
    await scene.forwarded(jobs)
    scene.worker(settings=QUICK_RECOVERY)
    await scene.handled(jobs // 4)
    before = scene.ledger.count(HANDLED)
    await leave_none(scene.redis)
    # How long memory is full: what happens in it is not waited for.
    await asyncio.sleep(1)
    report(f"{scene.ledger.count(HANDLED) - before} of {jobs - before} jobs handled while memory was full")
    await scene.redis.config_set("maxmemory", NO_LIMIT)
    await scene.completed(jobs)
    assert_handled(scene.ledger, once=False)


async def test_control_acknowledged_first(scene: Scene) -> None:
    """Control: a bridge that acknowledges before it adds loses what it reads while memory is full."""

    async def all_read() -> bool:
        groups: Any = await scene.redis.xinfo_groups(EVALUATED)
        return bool(groups[0]["lag"] == 0) and await scene.pending([EVALUATED]) == 0

    await scene.publish(BATCH * 2)  # it carries one of the two channels
    await scene.redis.xgroup_create(EVALUATED, GROUP, id="0")
    await leave_none(scene.redis)
    scene.bridge(habit=Habit.ACKNOWLEDGE_FIRST, goes_on=True)
    await scene.until(all_read)
    await scene.logged("not allowed when used memory")
    await scene.redis.config_set("maxmemory", NO_LIMIT)
    await scene.publish(BATCH * 2)
    await scene.forwarded(BATCH * 2, [EVALUATED])
    assert await scene.waiting() == BATCH * 2
