"""Handlers that fail or hang at one event in a hundred: the other events come through as fast as without them."""

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
    """Return events, one in a hundred of which is bad if so wished: the handler fails and hangs in turn."""
    payloads = cycle([POISON, HANGING])
    for number in range(count):
        yield evaluated(payload=next(payloads)) if bad and number % ONE_IN == 0 else evaluated()


async def p99_of(scene: Scene, publisher: Publisher, count: int, *, bad: bool) -> float:
    """Publish at the rate of a busy service; return the p99 of the good events' way, in seconds."""
    good = (count - count // ONE_IN if bad else count) * len(QUEUES)
    before = scene.ledger.count(TIMED)
    events = mixed(count, bad=bad)
    for _ in range(count // TOGETHER):
        await publisher.publish_all([next(events) for _ in range(TOGETHER)])
        await asyncio.sleep(PAUSE)
    await scene.noted(TIMED, before + good)
    return quantiles(map(float, scene.ledger.read(TIMED)[before : before + good]), n=100)[-1]


async def test_others_come_through(scene: Scene, size: Size, report: Report) -> None:
    """With a time limit for handlers the p99 of all other events is about what it is without any bad ones."""
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
    """Handlers that hang in every slot of a worker end at their time limit, and the others are handled."""
    scene.subscriber()
    scene.worker(concurrency=SLOTS, time_limit=TIME_LIMIT)
    await publish_hanging_ones_first(scene)
    await scene.handled(OTHERS * len(QUEUES))


async def test_control_without_a_time_limit(scene: Scene) -> None:
    """Control: without a time limit they keep all slots, and everything else waits behind them."""
    scene.subscriber()
    scene.worker(concurrency=SLOTS)
    await publish_hanging_ones_first(scene)
    await scene.noted(BEGUN, SLOTS * len(QUEUES))
    await scene.until_waiting(OTHERS * len(QUEUES))
    # Longer than the time limit of the test above: nothing is there to be waited for.
    await asyncio.sleep(5 * TIME_LIMIT)
    assert await scene.waiting() == OTHERS * len(QUEUES)
    assert scene.ledger.count(HANDLED) == 0
