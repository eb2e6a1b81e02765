"""When workers are killed while they handle jobs, every job is handled, and with an inbox its effects happen once."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from faults.children.worker import EFFECTS, METADATA, QUICK_RECOVERY, Effects, database
from faults.conftest import Report
from faults.ledger import BEGUN, Ledger
from faults.scene import Scene, assert_handled
from faults.sizes import Size
from sqlalchemy import select
from sqlalchemy.engine import Engine

HOLD = 0.02
"""Seconds between a handler's effects and its end, in which it can be killed."""


@pytest.fixture
def effects(ledger: Ledger) -> Iterator[Engine]:
    """The database that handlers write to."""
    engine = database(ledger.folder)
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


async def kill_again_and_again(
    scene: Scene, effects: Effects, *, events: int, kills: int, chance: random.Random
) -> None:
    """Let workers handle all jobs, and kill `kills` of them on the way."""
    jobs = events * 2
    scene.subscriber()
    await scene.publish(events)
    for number in range(kills):
        worker = scene.worker(effects=effects, hold=HOLD, settings=QUICK_RECOVERY)
        enough = scene.ledger.count(BEGUN) + (jobs * chance.random() / (kills + 1) if number else 1)
        await scene.noted(BEGUN, enough)
        worker.kill()
    scene.worker(effects=effects, hold=HOLD, settings=QUICK_RECOVERY)
    await scene.completed(jobs)


def times_each(engine: Engine) -> Counter[str]:
    """Count how often the effects of each event have happened."""
    with engine.connect() as connection:
        return Counter(connection.scalars(select(EFFECTS.c.what)))


async def test_with_an_inbox_effects_happen_once(
    scene: Scene, size: Size, chance: random.Random, effects: Engine, report: Report
) -> None:
    """With an inbox, each job is handled to its end, and each event has its effects in each queue once."""
    await kill_again_and_again(scene, Effects.ONCE, events=size.handled_events, kills=size.worker_kills, chance=chance)
    assert_handled(scene.ledger, once=False)
    happened = times_each(effects)
    assert len(happened) == size.handled_events * 2
    assert set(happened.values()) == {1}
    repeats = scene.ledger.count(BEGUN) - size.handled_events * 2
    assert repeats > 0
    report(f"{size.worker_kills} kills made {repeats} repeats of {size.handled_events * 2} jobs, no effect twice")


async def test_control_without_an_inbox_effects_happen_twice(
    scene: Scene, chance: random.Random, effects: Engine
) -> None:
    """Control: without an inbox, a job whose worker was killed after the effects has them a second time."""
    await kill_again_and_again(scene, Effects.EACH_TIME, events=300, kills=3, chance=chance)
    assert_handled(scene.ledger, once=False)
    assert max(times_each(effects).values()) > 1
