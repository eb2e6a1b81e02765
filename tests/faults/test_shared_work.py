"""Subscribers share the work of a group, leave nothing behind when terminated, and can read 500 channels."""

import time
from itertools import islice, product
from string import ascii_uppercase
from typing import Any

from faults.children.failpoint import Failpoint
from faults.children.process import Child
from faults.children.subscriber import JOB, QUEUES
from faults.conftest import Report
from faults.ledger import PUBLISHED, STOPPED
from faults.publishing import publishing
from faults.scene import Scene, assert_once_and_in_order
from faults.sizes import Size
from support.consuming import EVALUATED, GROUP, evaluated, message, running, until

from domainstream.channel import EventPublisherChannel
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue

PROMISED = 10.0
"""Seconds from the request to the end."""

NAMES = ("one", "two", "three")
UNDER_WAY = 200
MANY, MOST_CONNECTIONS = 500, 3


async def all_there(scene: Scene, **first: Any) -> list[Child]:
    """Start three subscribers, the first with the options `first`, and return once each is connected."""
    children: list[Child] = []
    for name, order in zip(NAMES, [first, {}, {}], strict=True):
        known = len(await scene.redis.client_list())
        children.append(scene.subscriber(consumer=name, max_entries=20, **order))

        async def is_connected(known: int = known) -> bool:
            return len(await scene.redis.client_list()) > known

        await scene.until(is_connected)
    return children


async def test_one_that_is_asked_to_end(scene: Scene, size: Size, report: Report) -> None:
    """A subscriber that is terminated under load ends in time and leaves nothing pending, so that no event is lost."""
    await scene.publish(size.events)
    took = []
    async with publishing(scene.server.url, scene.ledger):
        for _ in range(size.terminations):
            before = await scene.waiting()
            subscriber = scene.subscriber()
            await scene.until_waiting(before + UNDER_WAY)
            asked = time.monotonic()
            subscriber.terminate()
            await scene.ended(subscriber)
            took.append(time.monotonic() - asked)
            assert await scene.pending() == 0
    assert scene.ledger.count(STOPPED) == size.terminations
    scene.subscriber()
    await scene.forwarded(scene.ledger.count(PUBLISHED) * 2)
    await assert_once_and_in_order(scene)
    report(f"{size.terminations} times asked to end under load, which took {max(took):.2f} s at most")
    assert max(took) < PROMISED


async def test_three_take_turns(scene: Scene, report: Report) -> None:
    """Of three subscribers of a group each goes on where the one before has ended, and queues get events in order."""
    children = await all_there(scene)
    async with publishing(scene.server.url, scene.ledger):
        for child in children:
            before = await scene.waiting()
            await scene.until_waiting(before + UNDER_WAY)
            child.terminate()
            await scene.ended(child)
    shares = [int(line.split()[1]) for line in scene.ledger.read(STOPPED)]
    scene.subscriber()
    await scene.forwarded(scene.ledger.count(PUBLISHED) * 2)
    await assert_once_and_in_order(scene)
    report(f"shares of {scene.ledger.count(PUBLISHED)} events: {shares}")


async def test_others_do_what_one_leaves_behind(scene: Scene, size: Size) -> None:
    """The entries that one of three subscribers had read when it died are forwarded by the others, in order."""
    children = await all_there(scene, failpoint=(Failpoint.READ, 1))
    await scene.publish(size.events)
    await scene.until(lambda: any(child.was_killed for child in children))
    await scene.forwarded(size.events * 2)
    await assert_once_and_in_order(scene)


async def test_500_channels_take_three_connections(scene: Scene) -> None:
    """A subscriber to 500 channels forwards an event of each over three connections, as one to a few channels does."""
    words = ("".join(letters) for letters in product(ascii_uppercase, repeat=3))
    names = [f"DOMAIN_CODING_Z{word}_EVALUATED" for word in islice(words, MANY)]
    enum: Any = EventPublisherChannel  # called as enums are, which type checkers do not expect of this one
    channels = enum("Many", {name: name.lower() for name in names})
    subscriptions = create_multiple_handlers({channel: [to_queue(QUEUES[0], job=JOB)] for channel in channels})
    mine = {client["id"] for client in await scene.redis.client_list()}
    subscriber = RedisBullMQStreamSubscriber.from_url(scene.server.url, group=GROUP, subscriptions=subscriptions)
    async with running(subscriber):
        for channel in channels:
            text = message(evaluated()).replace(EVALUATED.encode(), channel.encode())
            await scene.redis.xadd(channel, {"data": text})
        await until(lambda: subscriber.stats.jobs == MANY)
        theirs = [client for client in await scene.redis.client_list() if client["id"] not in mine]
    assert await scene.waiting() == MANY
    assert 0 < len(theirs) <= MOST_CONNECTIONS
