"""When a subscriber is away for longer than entries are kept, unread entries are kept or reported as lost."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from faults.children.subscriber import QUEUES
from faults.conftest import Report
from faults.ledger import LOST, PUBLISHED
from faults.scene import Scene, assert_once_and_in_order, channel_of_jobs
from faults.sizes import Size
from support.consuming import EVALUATED, Channel

from domainstream import Retention

pytestmark = pytest.mark.every_server

AGE = timedelta(seconds=0.1)
PATIENT = Retention(max_age=AGE, max_unread_age=timedelta(hours=1))
STRICT = Retention(max_age=AGE, max_unread_age=2 * AGE)
ENDLESS = Retention(max_age=None, max_length=None)

EVENTS = 800
"""Published in each half of an absence; the second half is what makes the server trim the first."""

MAX_ENTRIES = 50
UNDER_WAY = 400
"""Jobs after which a subscriber has read everything that it had left pending, and reports what it lost."""


async def publish_and_age(scene: Scene, retention: Retention) -> None:
    """Publish, let it become older than entries are kept, and publish again."""
    await scene.publish(EVENTS, retention=retention)
    await asyncio.sleep(4 * AGE.total_seconds())
    await scene.publish(EVENTS, retention=retention)


async def come_and_go(scene: Scene, outages: int, retention: Retention) -> None:
    """Let a subscriber work between outages; it is killed in the middle of it, or ends in order, by turns."""
    # What went before a subscriber first looked is nobody's.
    subscriber = scene.subscriber()
    await scene.publish(EVENTS, retention=ENDLESS)
    await scene.forwarded(EVENTS * 2)
    subscriber.kill()
    for number in range(outages):
        await publish_and_age(scene, retention)
        before = await scene.waiting()
        subscriber = scene.subscriber(max_entries=MAX_ENTRIES)
        await scene.until_waiting(before + UNDER_WAY)
        if number % 2:
            subscriber.terminate()
            await scene.ended(subscriber)
        else:
            subscriber.kill()
    await publish_and_age(scene, retention)
    scene.subscriber(max_entries=MAX_ENTRIES)
    await scene.until_read()


async def test_what_is_needed_is_kept(scene: Scene, size: Size) -> None:
    """No unread entry is removed within `max_unread_age`; entries that were read are removed at `max_age`."""
    await come_and_go(scene, size.outages, PATIENT)
    await assert_once_and_in_order(scene)
    assert scene.ledger.read(LOST) == []
    await publish_and_age(scene, PATIENT)
    assert sum([await scene.redis.xlen(channel) for channel in Channel]) < 4 * EVENTS


async def test_losses_are_reported(scene: Scene, size: Size, report: Report) -> None:
    """Beyond `max_unread_age`, exactly the events that did not reach the queues are reported as lost."""
    await come_and_go(scene, size.outages, STRICT)
    reported = {channel: _reported(scene, channel) for channel in Channel}
    for queue in QUEUES:
        assert await _missing(scene, queue) == reported, scene.log()
    assert all(count > 0 for count in reported.values())
    lost, published = sum(reported.values()), scene.ledger.count(PUBLISHED)
    report(f"{lost} of {published} events lost, as reported; {size.outages + 1} outages")


async def test_control_a_plain_trim(scene: Scene) -> None:
    """Control: a stream that is trimmed to a length loses what a plain bridge has not read, and nothing is reported."""
    kept = 100
    bridge = scene.bridge()
    await scene.publish(EVENTS, retention=ENDLESS)
    await scene.forwarded(EVENTS, [EVALUATED])  # it carries one of the two channels, to two queues
    bridge.kill()
    await scene.publish(EVENTS, retention=ENDLESS)
    await scene.redis.xtrim(EVALUATED, maxlen=kept, approximate=False)
    scene.bridge(goes_on=True)
    await scene.forwarded(EVENTS + 2 * kept, [EVALUATED])
    assert await scene.waiting() == EVENTS + 2 * kept
    assert scene.log() == ""


def _reported(scene: Scene, channel: str) -> int:
    lines = [line.split() for line in scene.ledger.read(LOST)]
    return sum(int(count) for its_channel, count, _, _ in lines if its_channel == channel)


async def _missing(scene: Scene, queue: str) -> dict[Any, int]:
    """Count the acknowledged events of each channel that have no job; every other event has exactly one."""
    channel_of, jobs = channel_of_jobs(scene.ledger), await scene.jobs_of(queue)
    assert len(set(jobs)) == len(jobs)
    missing = set(channel_of) - set(jobs)
    assert len(missing) == len(channel_of) - len(jobs)
    return {channel: sum(channel_of[job] == channel for job in missing) for channel in Channel}
