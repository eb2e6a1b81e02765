"""When keys vanish or change their type, the subscriber recovers, or logs the fix and recovers after it."""

import time
from collections.abc import Awaitable, Callable

import pytest
from faults.conftest import Report
from faults.ledger import PUBLISHED
from faults.scene import Scene, assert_once
from faults.sizes import Size
from redis.asyncio import Redis
from support.consuming import EVALUATED, GROUP, Channel

PROMISED, BEARABLE = 2.0, 20.0
"""Seconds until it has recovered: as promised, and on a machine at its limit."""

EVENTS = 200

Fault = Callable[[Redis], Awaitable[object]]


async def flush(redis: Redis) -> None:
    """Remove all keys."""
    await redis.flushall()


async def remove_streams(redis: Redis) -> None:
    """Remove the streams, and with them their groups."""
    await redis.delete(*Channel)


async def destroy_groups(redis: Redis) -> None:
    """Remove the groups, but not the streams."""
    for channel in Channel:
        await redis.xgroup_destroy(channel, GROUP)


@pytest.mark.parametrize("fault", [flush, remove_streams, destroy_groups])
async def test_what_vanished_is_made_again(scene: Scene, size: Size, report: Report, fault: Fault) -> None:
    """Events that are published after the fault arrive, although the subscriber was waiting while it happened."""
    scene.subscriber()
    await scene.publish(EVENTS)
    await scene.forwarded(EVENTS * 2)
    await fault(scene.redis)
    happened, before = time.monotonic(), await scene.waiting()
    await scene.publish(EVENTS)
    await scene.until_waiting(before + EVENTS * 2)
    recovered_in = time.monotonic() - happened
    report(f"recovered in {recovered_in:.2f} s")
    assert await scene.waiting() == before + EVENTS * 2
    assert recovered_in < (PROMISED if size.strict else BEARABLE)


async def test_groups_that_vanish_under_load(scene: Scene, size: Size) -> None:
    """A group that is destroyed while it is read starts from the beginning, and job ids keep out duplicates."""
    scene.subscriber(max_entries=20)
    await scene.publish(size.events)
    for part in (0.2, 0.5, 0.8):
        await scene.until_waiting(size.events * 2 * part)
        await destroy_groups(scene.redis)
    await scene.forwarded(scene.ledger.count(PUBLISHED) * 2)
    await assert_once(scene)


async def test_stream_that_is_no_stream(scene: Scene) -> None:
    """When a stream's key has another type, the log names the key and the fix, and the events arrive after the fix."""
    await scene.redis.set(EVALUATED, "no stream")
    scene.subscriber()
    await scene.logged(f"the key of channel {EVALUATED} is not a stream; choose another prefix, or delete that key")
    await scene.redis.delete(EVALUATED)
    await scene.publish(EVENTS)
    await scene.forwarded(EVENTS * 2)
    await assert_once(scene)


@pytest.mark.parametrize("fault", [flush, remove_streams, destroy_groups])
async def test_control_a_plain_loop(scene: Scene, fault: Fault) -> None:
    """Control: a bridge that creates its group at its start only gets NOGROUP after the fault, and nothing arrives."""
    scene.bridge(goes_on=True)
    await scene.publish(EVENTS)
    await scene.forwarded(EVENTS, [EVALUATED])  # it carries one of the two channels, to two queues
    await fault(scene.redis)
    before = await scene.waiting()
    await scene.publish(EVENTS)
    await scene.logged("NOGROUP", times=20)
    assert await scene.waiting() == before
