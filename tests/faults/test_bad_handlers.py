"""Handlers that fail or hang at one event in a hundred do not slow down the other events."""

import asyncio
from collections.abc import Iterator
from itertools import cycle
from statistics import median, quantiles

from faults.children.subscriber import QUEUES
from faults.children.worker import HANGING, POISON
from faults.conftest import Report
from faults.ledger import BEGUN, HANDLED, TIMED
from faults.publishing import Event, Publisher
from faults.scene import Scene
from faults.sizes import Size
from support.consuming import evaluated

from domainstream import RedisStreamPublisherClient

PROMISED = 1.2
"""The others' p99 with bad ones among them, as a multiple of that without."""

BEARABLE = 5.0
"""The others' p99 in seconds, on a machine that does other things meanwhile."""

ONE_IN, TOGETHER, PAUSE = 100, 5, 0.01
"""One event in how many is bad; events at a time, and seconds between them."""

TIME_LIMIT = 0.2
SLOTS, OTHERS = 4, 100


def mixed(count: int, *, bad: bool) -> Iterator[Event]:
    """Return events. With `bad`, the handler fails or hangs, in turn, at one in a hundred."""
    payloads = cycle([POISON, HANGING])
    for number in range(count):
        yield evaluated(payload=next(payloads)) if bad and number % ONE_IN == 0 else evaluated()


async def p99_of(scene: Scene, publisher: Publisher, count: int, *, bad: bool) -> float:
    """Publish at the rate of a busy service, and return the p99 latency of the good events in seconds."""
    good = (count - count // ONE_IN if bad else count) * len(QUEUES)
    before = scene.ledger.count(TIMED)
    events = mixed(count, bad=bad)
    for _ in range(count // TOGETHER):
        await publisher.publish_all([next(events) for _ in range(TOGETHER)])
        await asyncio.sleep(PAUSE)
    await scene.noted(TIMED, before + good)
    return quantiles(map(float, scene.ledger.read(TIMED)[before : before + good]), n=100)[-1]


async def test_others_come_through(scene: Scene, size: Size, report: Report) -> None:
    """With a time limit for handlers, bad events leave the p99 latency of all other events about the same."""
    scene.subscriber()
    scene.worker(time_limit=TIME_LIMIT, timed=True)
    async with RedisStreamPublisherClient.from_url(scene.server.url) as client:
        publisher = Publisher(client, scene.ledger)
        await p99_of(scene, publisher, ONE_IN, bad=False)  # processes that have just begun are slow
        rounds = []
        for number in range(1, size.rounds + 1):
            rounds.append([await p99_of(scene, publisher, size.latencies, bad=bad) for bad in (False, True)])
            # Their next attempts would be taken for the next round's load.
            await scene.failed(number * size.latencies // ONE_IN * len(QUEUES))
    ratio = median(others / alone for alone, others in rounds)
    figures = ", ".join(f"{alone * 1e3:.1f} and {others * 1e3:.1f} ms" for alone, others in rounds)
    report(f"p99 without and with bad ones: {figures}; ratio {ratio:.2f}")
    assert ratio < PROMISED if size.strict else max(others for _, others in rounds) < BEARABLE


async def publish_hanging_ones_first(scene: Scene) -> None:
    """Publish as many events as a worker has slots at which its handlers hang, and others behind them."""
    async with RedisStreamPublisherClient.from_url(scene.server.url) as client:
        hanging = [evaluated(payload=HANGING) for _ in range(SLOTS)]
        await Publisher(client, scene.ledger).publish_all([*hanging, *mixed(OTHERS, bad=False)])


async def test_hanging_ones_make_way(scene: Scene) -> None:
    """Handlers that hang in every slot of a worker end at their time limit, and the other events are then handled."""
    scene.subscriber()
    scene.worker(concurrency=SLOTS, time_limit=TIME_LIMIT)
    await publish_hanging_ones_first(scene)
    await scene.handled(OTHERS * len(QUEUES))


async def test_control_without_a_time_limit(scene: Scene) -> None:
    """Control: without a time limit, handlers that hang keep all slots, and all other events wait behind them."""
    scene.subscriber()
    scene.worker(concurrency=SLOTS)
    await publish_hanging_ones_first(scene)
    await scene.noted(BEGUN, SLOTS * len(QUEUES))
    await scene.until_waiting(OTHERS * len(QUEUES))
    # Longer than the time limit of the test above: nothing is there to be waited for.
    await asyncio.sleep(5 * TIME_LIMIT)
    assert await scene.waiting() == OTHERS * len(QUEUES)
    assert scene.ledger.count(HANDLED) == 0
