"""A relay that is suspended past its lease, and wakes up when another one is active, changes nothing."""

import random
from functools import partial
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from faults.children.outbox_relay import Step
from faults.children.process import Child
from faults.conftest import Report
from faults.outbox.business import AGGREGATES, begin_and_add
from faults.outbox.outbox_scene import OutboxScene
from faults.outbox.reading import Reader
from faults.sizes import Size

pytestmark = pytest.mark.one_server

LEASE = 0.3
HALF = 0.5

EVENTS, BATCH = 120, 20


async def test_relays_that_fall_asleep(scene: OutboxScene, size: Size, chance: random.Random, report: Report) -> None:
    """Of three relays the active one is suspended, and sometimes killed; each event is published once, in order."""
    writer = scene.writer(late=0.02)
    relays = {owner: scene.relay(owner=owner, lease=LEASE) for owner in ("first", "second", "third")}
    asleep: list[str] = []
    killed = 0
    for number in range(size.suspensions):
        await scene.until_progress(chance.randint(1, 40))
        epoch = await _suspend_the_active_one(scene, relays, asleep)
        await scene.until(partial(_is_later_than, scene, epoch))
        if len(asleep) < len(relays) - 1 and chance.random() < HALF:
            continue
        sleeper = asleep.pop(0)
        if chance.random() < HALF:
            relays.pop(sleeper).kill()
            relays[f"after {number}"] = scene.relay(owner=f"after {number}", lease=LEASE)
            killed += 1
        else:
            relays[sleeper].resume()
    for owner in asleep:
        relays[owner].resume()
    await scene.stop(writer)
    await scene.until_drained()
    for relay in relays.values():
        await scene.stop(relay)
    _, takeovers = scene.business.lease()
    found = await scene.assert_delivered()
    report(f"{size.suspensions} suspended, {killed} of them killed, {takeovers} takeovers: {found}")


def _is_later_than(scene: OutboxScene, epoch: int) -> bool:
    return scene.business.lease()[1] > epoch


async def _suspend_the_active_one(scene: OutboxScene, relays: dict[str, Child], asleep: list[str]) -> int:
    """Suspend the relay that has the lease, and return its epoch."""
    awake = relays.keys() - asleep
    owner, epoch = None, 0
    while owner not in awake:  # a relay that has just fallen asleep may still have the lease
        await scene.until(lambda: scene.business.lease()[0] in awake)
        owner, epoch = scene.business.lease()
    relays[owner].suspend()
    asleep.append(owner)
    return epoch


@pytest.mark.parametrize("step", Step)
async def test_relay_that_falls_asleep_at_a_step(scene: OutboxScene, step: Step) -> None:
    """Whichever step a relay is suspended at, another takes over; when it wakes up, it finds its lease lost."""
    scene.commit(EVENTS // 2, events=2)
    sleeper = scene.relay(
        lease=LEASE, batch=BATCH, at=(step, 1 if step in (Step.TAKING, Step.TAKEN) else 2), sleeps=True
    )
    await scene.until(lambda: sleeper.is_suspended)
    scene.relay(lease=LEASE, batch=BATCH)
    await scene.until_drained()
    sleeper.terminate()
    sleeper.resume()
    await scene.ended(sleeper)
    await scene.assert_delivered()
    assert scene.times_logged("outbox.lease_lost") + scene.times_logged("outbox.retried") > 0


async def test_relay_that_starts_beside_one_that_is_suspended_within_a_message(scene: OutboxScene) -> None:
    """A new relay ends a transaction that has the relay's row and waits for the rest of a message, and takes over."""
    first = scene.relay(lease=LEASE)
    scene.commit(EVENTS)
    await scene.until_drained()
    await scene.stop(first)
    suspended = await asyncpg.connect(scene.async_url.replace("+asyncpg", ""))
    await suspended.execute("BEGIN")
    await suspended.execute(f"UPDATE {scene.business.outbox.table.name}_relay SET published = 0")  # noqa: S608
    await suspended.prepare("SELECT 1")  # asyncpg ends this message with the execution, which does not come
    scene.commit(EVENTS)
    scene.relay(lease=LEASE)
    await scene.until_drained()
    await scene.until(suspended.is_closed)
    await scene.assert_delivered()


async def test_control_relays_without_a_lease(scene: OutboxScene) -> None:
    """Control: a relay without a lease that was suspended within a batch publishes the rest, which another one has."""
    scene.commit(EVENTS)
    sleeper = scene.naive_relay(batch=EVENTS, sleeps_after=EVENTS // 2)
    await scene.until(lambda: sleeper.is_suspended)
    scene.naive_relay()
    await scene.until_drained()
    sleeper.resume()
    await scene.until_length(EVENTS * 2)
    found = await scene.compared()
    assert (found.lost, found.twice) == (0, EVENTS)


async def test_statements_are_prepared_before_any_lock(
    scene: OutboxScene, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is prepared within a transaction, where a suspended relay would keep its locks until it wakes up."""
    prepare, within = asyncpg.Connection.prepare, []

    async def noting(connection: Any, query: str, **options: Any) -> Any:
        if scene.business.outbox.table.name in query:  # SQLAlchemy has statements of its own when it connects
            within.append(connection.is_in_transaction())
        return await prepare(connection, query, **options)

    monkeypatch.setattr(asyncpg.Connection, "prepare", noting)
    late, ids = begin_and_add(scene.business, AGGREGATES - 1, 1)
    scene.commit(AGGREGATES - 1)
    assert await reader.read()
    late.commit()
    late.close()
    found = [event_id for _ in range(EVENTS // 10) for event_id in await reader.read_ids()]
    assert set(ids) <= set(found)
    assert within
    assert not any(within)
