"""However instances that share channels die or sleep past their leases, queues get each event once and in order.

The queues forget every job at once, so that its id does not keep out a repeat.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from faults.children.failpoint import Failpoint
from faults.children.process import Child
from faults.children.protection import Protection
from faults.children.subscriber import QUEUES
from faults.conftest import Report
from faults.ledger import PUBLISHED
from faults.publishing import publishing
from faults.scene import Scene, assert_once_and_in_order, channel_of_jobs
from faults.sizes import Size
from support.consuming import GROUP, Channel

from domainstream.redis.keys import lease_key

INSTANCES = 3
LEASE = 0.6
UNDER_WAY = 100
"""Jobs between two faults, at least."""

BATCH = 20


class Instances:
    """Subscribers that share the channels."""

    def __init__(self, scene: Scene, **order: Any) -> None:
        self._scene = scene
        self._order = {"lease": LEASE, "max_entries": BATCH, **order}
        self._children: dict[str, Child] = {}
        self.dead: list[str] = []
        """The names of those that were killed; they have their channels until the leases end."""
        for _ in range(INSTANCES):
            self.start()

    def start(self) -> None:
        """Start another one."""
        name = f"instance-{len(self._children)}"
        self._children[name] = self._scene.subscriber(consumer=name, **self._order)

    async def kill(self, name: str) -> None:
        """Kill one, and start another."""
        self._children[name].kill()
        self.dead.append(name)
        self.start()

    async def suspend(self, name: str, channel: str) -> None:
        """Suspend the owner of a channel until another one has taken it over and hands events over."""
        self._children[name].suspend()
        await owner_of(self._scene, channel, other_than=[name, *self.dead])
        await under_way(self._scene)
        self._children[name].resume()


async def owner_of(scene: Scene, channel: str, *, other_than: Sequence[str] = ()) -> str:
    """Wait until an instance has a channel, and return its name."""
    found = ""

    async def has_owner() -> bool:
        nonlocal found
        owner: Any = await scene.redis.hget(lease_key(channel, GROUP), "owner")
        found = (owner or b"").decode().partition(" ")[0]
        return found not in ("", *other_than)

    await scene.until(has_owner)
    return found


async def under_way(scene: Scene) -> None:
    """Wait until more jobs have been added."""
    await scene.until_waiting(await scene.waiting() + UNDER_WAY)


async def damage(scene: Scene) -> tuple[int, int]:
    """Return how many events a queue has lost, and how many it has twice, all queues together."""
    expected, lost, twice = channel_of_jobs(scene.ledger), 0, 0
    for queue in QUEUES:
        counts = Counter(await scene.jobs_of(queue))
        lost += len(expected.keys() - counts.keys())
        twice += sum(count > 1 for count in counts.values())
    return lost, twice


async def test_owners_that_die_or_sleep(scene: Scene, size: Size, chance: random.Random, report: Report) -> None:
    """Owners of channels are killed, or suspended until others have taken over and gone on."""
    instances = Instances(scene)
    async with scene.forgetting():
        async with publishing(scene.server.url, scene.ledger):
            for number in range(size.pauses):
                await under_way(scene)
                channel = chance.choice(list(Channel))
                owner = await owner_of(scene, channel, other_than=instances.dead)
                await (instances.suspend(owner, channel) if number % 2 else instances.kill(owner))
            await under_way(scene)
        await scene.until_read()
        await scene.forwarded(scene.ledger.count(PUBLISHED) * 2)
    await assert_once_and_in_order(scene)
    report(
        f"{size.pauses} owners killed or suspended, {scene.ledger.count(PUBLISHED)} events, 0 lost, 0 twice, in order"
    )


async def test_control_without_marks(scene: Scene, report: Report) -> None:
    """Control: what a dead owner has added and not acknowledged is added again by one that knows no marks."""
    async with scene.forgetting():
        await scene.publish(UNDER_WAY)
        first = scene.subscriber(max_entries=BATCH, failpoint=(Failpoint.ADDED, 2))
        await scene.ended(first)
        scene.subscriber(max_entries=BATCH, without=Protection.MARKS)
        await scene.until_read()
    lost, twice = await damage(scene)
    report(f"{twice} of {UNDER_WAY * 2} jobs twice")
    assert lost == 0
    assert twice > 0


async def test_control_without_leases(scene: Scene, report: Report) -> None:
    """Control: what an instance reads although another one has taken over is lost, if it is slower than that one."""
    order: dict[str, Any] = {"max_entries": BATCH, "without": Protection.LEASE}
    slow = scene.subscriber(consumer="slow", failpoint=(Failpoint.READ, 1), sleeps=True, **order)
    for channel in Channel:
        await owner_of(scene, channel)
    scene.subscriber(consumer="fast", **order)
    for channel in Channel:
        await owner_of(scene, channel, other_than=["slow"])
    async with asyncio.timeout(scene.patience):
        while not slow.is_suspended:
            await scene.publish(BATCH)
    await scene.publish(UNDER_WAY)
    latest = {channel: job for job, channel in channel_of_jobs(scene.ledger).items()}

    async def have_arrived() -> bool:
        return all([set(latest.values()) <= set(await scene.jobs_of(queue)) for queue in QUEUES])

    await scene.until(have_arrived)
    slow.resume()
    await scene.until_read()
    lost, _ = await damage(scene)
    report(f"{lost} of {scene.ledger.count(PUBLISHED) * 2} jobs lost")
    assert lost > 0
