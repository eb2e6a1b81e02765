"""A relay that is killed, at random and at each step of its turn, loses no event and publishes none twice."""

import random

import pytest
from faults.children.outbox_relay import Step
from faults.conftest import Report
from faults.outbox.outbox_scene import OutboxScene
from faults.sizes import Size

pytestmark = pytest.mark.one_server

DRIVERS = ("asyncpg", "psycopg")
BATCH = 50


async def test_relay_killed_at_random(scene: OutboxScene, size: Size, chance: random.Random, report: Report) -> None:
    """However often a relay is killed, what was committed is in the streams once and in order, and nothing else is."""
    writer = scene.writer(late=0.02)
    for number in range(size.relay_kills):
        relay = scene.relay(database_url=scene.async_url.replace("asyncpg", DRIVERS[number % 2]))
        await scene.until_progress(chance.randint(1, 40))
        relay.kill()
        assert relay.was_killed
    await scene.stop(writer)
    scene.relay()
    await scene.until_drained()
    report(f"{size.relay_kills} kills: {await scene.assert_delivered()}")


async def test_relay_that_dies_at_each_step(scene: OutboxScene, size: Size, report: Report) -> None:
    """Whichever step a relay dies at, what was committed is in the streams once and in order, and nothing else is."""
    writer = scene.writer(late=0.02)
    for number in range(size.relay_deaths):
        for step in Step:
            nth = 1 if step in (Step.TAKING, Step.TAKEN) else 1 + number % 4
            relay = scene.relay(at=(step, nth))
            await scene.ended(relay)
            assert relay.was_killed
    await scene.stop(writer)
    scene.relay()
    await scene.until_drained()
    report(f"{size.relay_deaths} deaths at each of {len(Step)} steps: {await scene.assert_delivered()}")


@pytest.mark.parametrize("database_url", ["sqlite", "shared"], indirect=True)
async def test_control_publish_and_delete(scene: OutboxScene) -> None:
    """Control: a relay that publishes and then deletes publishes a batch twice when it dies in between."""
    scene.commit(BATCH * 4)
    first = scene.naive_relay(batch=BATCH, dies_after=2)
    await scene.until(lambda: first.was_killed)
    scene.naive_relay(batch=BATCH)
    await scene.until_drained()
    found = await scene.compared()
    assert (found.lost, found.twice) == (0, BATCH)
