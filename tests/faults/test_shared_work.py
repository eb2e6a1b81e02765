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
from faults.scene import Scene, assert_once, assert_once_and_in_order
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
    """Start three subscribers, the first with the options `first`, and return once each waits for new entries."""
    orders = [first, {}, {}]
    children = [
        scene.subscriber(consumer=name, max_entries=20, claim_after=1.0, **order)
        for name, order in zip(NAMES, orders, strict=True)
    ]

    async def each_waits() -> bool:
        clients: Any = await scene.redis.info("clients")
        return bool(clients["blocked_clients"] == len(NAMES))

    await scene.until(each_waits)
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


async def test_three_share_the_work(scene: Scene, size: Size, report: Report) -> None:
    """Three subscribers of a group each forward a part of the events, and each queue gets each event once."""
    children = await all_there(scene)
    await scene.publish(size.events)
    await scene.forwarded(size.events * 2)
    for child in children:
        child.terminate()
    await scene.noted(STOPPED, len(NAMES))
    shares = [int(line.split()[1]) for line in scene.ledger.read(STOPPED)]
    await assert_once(scene)
    report(f"shares of {size.events} events: {shares}")
    assert sum(shares) == size.events
    assert min(shares) > 0


async def test_others_do_what_one_leaves_behind(scene: Scene, size: Size) -> None:
    """The entries that one of three subscribers had read when it died are forwarded by the other two."""
    children = await all_there(scene, failpoint=(Failpoint.READ, 1))
    await scene.publish(size.events)
    await scene.ended(children[0])
    await scene.forwarded(size.events * 2)
    assert scene.times_logged("stream.reclaimed")
    await assert_once(scene)


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
