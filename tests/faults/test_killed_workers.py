"""Workers that are killed while they handle: every job is handled, and with an inbox its effects happen once."""

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


async def kill_again_and_again(scene: Scene, effects: Effects, *, events: int, kills: int, chance: random.Random) -> None:
    """Let workers handle everything, and kill them so often while they do."""
    jobs = events * 2
    scene.subscriber()
    await scene.publish(events)
    for number in range(kills):
        worker = scene.worker(effects=effects, hold=HOLD, settings=QUICK_RECOVERY)
        enough = scene.ledger.count(BEGUN) + (jobs * chance.random() / (kills + 1) if number else 1)
        await scene.until(lambda enough=enough: scene.ledger.count(BEGUN) >= enough)
        worker.kill()
    scene.worker(effects=effects, hold=HOLD, settings=QUICK_RECOVERY)
    await scene.completed(jobs)


def times_each(engine: Engine) -> Counter[str]:
    """Count how often the effects of each event have happened."""
    with engine.connect() as connection:
        return Counter(connection.scalars(select(EFFECTS.c.what)))
