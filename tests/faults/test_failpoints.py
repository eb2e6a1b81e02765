"""Whichever step a subscriber dies at, each queue gets each event once, in order."""

import random
from typing import Any
from uuid import uuid4

import pytest
from faults.children.failpoint import Failpoint
from faults.children.subscriber import QUEUES
from faults.ledger import PUBLISHED
from faults.scene import Scene, assert_once, assert_once_and_in_order
from faults.sizes import Size
from redis.asyncio import Redis
from support.consuming import Channel

BATCH = 10
VISITS = {Failpoint.TAKEN: 2, Failpoint.FENCED: 2, Failpoint.DEAD: 2}
"""How often a subscriber reaches a failpoint in its life, if not more often."""

EVENTS_PER_LIFE = 150
"""More than a subscriber forwards before it dies, so that it reaches its failpoint."""

REFUSED = "subscriber.refused"
BREAK = "redis.call('SET', KEYS[1], 'not a list')"
REPAIR = "if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end"
WAIT = f"bull:{QUEUES[1]}:wait"


@pytest.mark.parametrize("failpoint", Failpoint)
async def test_death_at_a_failpoint(scene: Scene, size: Size, chance: random.Random, failpoint: Failpoint) -> None:
    """A subscriber that dies at the same step again and again loses nothing and repeats nothing."""
    async with scene.forgetting():
        for _ in range(size.failpoint_deaths):
            await scene.publish(EVENTS_PER_LIFE)
            await publish_poison(scene)
            nth = chance.randint(1, VISITS.get(failpoint, 4))
            subscriber = scene.subscriber(failpoint=(failpoint, nth), max_entries=BATCH)
            await scene.ended(subscriber)
            assert subscriber.was_killed
        scene.subscriber()
        await scene.forwarded(scene.ledger.count(PUBLISHED) * 2)
    await assert_once_and_in_order(scene)
    letters: Any = [await scene.redis.xrange(f"{channel}:dead") for channel in Channel]
    dead = [fields[b"data"] for some in letters for _, fields in some]
    assert len(dead) == len(set(dead)) == size.failpoint_deaths * len(Channel)


async def publish_poison(scene: Scene) -> None:
    """Add an entry to each stream that can never become a job."""
    for channel in Channel:
        await scene.redis.xadd(channel, {"data": f"poison {uuid4()}"})


async def test_error_after_some_jobs(scene: Scene, size: Size) -> None:
    """If one queue rejects its job after the other queue took one, each queue still gets each event once."""
    scene.subscriber(claim_after=0.2)
    rounds = max(2, size.failpoint_deaths // 10)
    for number in range(1, rounds + 1):
        await scene.publish(EVENTS_PER_LIFE)
        refused = scene.times_logged(REFUSED)
        await _break_a_queue(scene.redis)
        await scene.publish(EVENTS_PER_LIFE)
        await scene.logged(REFUSED, refused + 1)
        await _repair_it(scene.redis)
        await scene.forwarded(EVENTS_PER_LIFE * 4 * number)
    await assert_once(scene)


async def _break_a_queue(redis: Redis) -> None:
    """Make the second queue of each event reject, when the first one's job is added already."""
    await _run(redis, "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end", BREAK)


async def _repair_it(redis: Redis) -> None:
    await _run(redis, "redis.call('DEL', KEYS[1])", REPAIR)


async def _run(redis: Redis, *lines: str) -> None:
    """Run lines in one step: what the subscriber adds in between would be overwritten."""
    reply: Any = redis.eval("\n".join(lines), 2, WAIT, f"{WAIT}-aside")
    await reply
