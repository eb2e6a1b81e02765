"""Subscribers that are killed at random lose no event and forward none twice."""

import random

import pytest
from faults.children.naive_bridge import Habit
from faults.ledger import HANDLED
from faults.scene import Scene, assert_handled, assert_once_and_in_order
from faults.sizes import Size
from support.consuming import EVALUATED


async def test_every_event_comes_once_and_in_order(scene: Scene, size: Size, chance: random.Random) -> None:
    """However often the subscriber is killed, queues that forget jobs at once get each event once, in order."""
    jobs = size.events * 2
    await scene.publish(size.events)
    async with scene.forgetting():
        for number in range(size.subscriber_kills):
            subscriber = scene.subscriber()
            await scene.until_waiting(jobs * (number + chance.random()) / (size.subscriber_kills + 1))
            subscriber.kill()
            assert subscriber.was_killed
        scene.subscriber()
        await scene.forwarded(jobs)
    await assert_once_and_in_order(scene)


async def test_every_event_is_handled_once(scene: Scene, size: Size, chance: random.Random) -> None:
    """Each event is handled once even if queues forget a job when it is done, so that ids do not reject repeats."""
    jobs = size.handled_events * 2
    scene.worker()
    await scene.publish(size.handled_events)
    for number in range(size.subscriber_kills):
        subscriber = scene.subscriber(forgetful=True)
        enough = jobs * (number + chance.random()) / (size.subscriber_kills + 1)
        await scene.noted(HANDLED, enough)
        subscriber.kill()
    scene.subscriber(forgetful=True)
    await scene.handled(jobs)
    assert_handled(scene.ledger, once=True)
    await scene.until_pending(0)


@pytest.mark.parametrize(("habit", "difference"), [(Habit.ADD_FIRST, 1), (Habit.ACKNOWLEDGE_FIRST, -1)])
async def test_control_a_bridge_in_steps(scene: Scene, habit: Habit, difference: int) -> None:
    """Control: a bridge that adds and acknowledges in two steps repeats or loses a batch when it dies between them."""
    batch, events = 50, 400
    await scene.publish(events * 2)  # it carries one of the two channels
    first = scene.bridge(habit=habit, batch=batch, dies_after=2)
    await scene.until(lambda: first.was_killed)
    scene.bridge(habit=habit, batch=batch)
    await scene.forwarded((events + difference * batch) * 2, [EVALUATED])
    assert await scene.waiting() == (events + difference * batch) * 2
