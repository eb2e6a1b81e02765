"""Whatever fails, dies or is done by hand: no job starts before the one before it of its key, and none is lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import pytest
from faults.conftest import Report
from faults.keyed_traffic import KINDS, Operator, Traffic
from faults.scene import Scene
from faults.sizes import Size
from interop.node_process import missing

from domainstream.testing import EmbeddedServer, ServerBinary

pytestmark = [pytest.mark.every_server, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@pytest.fixture
async def traffic(scene: Scene, chance: random.Random) -> AsyncIterator[Traffic]:
    """Traffic in order."""
    async with Traffic(scene, chance) as traffic:
        yield traffic


async def trouble(traffic: Traffic, *, operator: Operator, kinds: Sequence[str], kills: int, deeds: int) -> None:
    """Kill workers and subscribers, replace them, and let somebody do things, while events come."""
    for number in range(max(kills, deeds)):
        if number < deeds:
            await operator.do_something()
        if number < kills:
            traffic.kill_worker()
            await traffic.work(kinds[number % len(kinds)])
            if number % 2:
                traffic.kill_subscriber()
        await asyncio.sleep(0.05)


async def test_programs_that_die(traffic: Traffic, size: Size, report: Report) -> None:
    """Workers in both languages and three subscribers are killed; jobs of a key are handled in order, none is lost."""
    for _ in range(3):
        traffic.subscribe()
    for kind in KINDS:
        await traffic.work(kind)
    operator = await traffic.operator()
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.publish(size.ordered_events))
        group.create_task(trouble(traffic, operator=operator, kinds=KINDS, kills=size.ordered_kills, deeds=0))
    turns = await traffic.all_done(operator)
    report(traffic.verdict(turns))
    assert (turns.early, turns.again, turns.lost) == ([], [], set())


async def test_people_who_tamper(traffic: Traffic, size: Size, report: Report) -> None:
    """The same while somebody retries, removes, cleans and detaches jobs: what nobody tampered with is in order."""
    for _ in range(2):
        traffic.subscribe()
    for kind in KINDS:
        await traffic.work(kind, failing=0.5)
    operator = await traffic.operator()
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.publish(size.ordered_events))
        group.create_task(trouble(traffic, operator=operator, kinds=KINDS, kills=2, deeds=size.ordered_deeds))
    turns = await traffic.all_done(operator)
    report(f"{traffic.verdict(turns)}; {dict(operator.deeds)}")
    assert (turns.early, turns.again, turns.lost) == ([], [], set())


async def test_jobs_that_are_skipped(scene: Scene, size: Size, chance: random.Random, report: Report) -> None:
    """With skip, jobs that have failed for good are passed, and the others of their keys are handled in order."""
    async with Traffic(scene, chance, on_failure="skip") as traffic:
        for _ in range(2):
            traffic.subscribe()
        for kind in KINDS:
            await traffic.work(kind, failing=0.5)
        operator = await traffic.operator()
        await traffic.publish(size.ordered_events)
        failed = await traffic.all_passed(operator)
        turns = await traffic.all_done(operator)
    report(f"{traffic.verdict(turns)}; {failed} were skipped")
    assert (turns.early, turns.again, turns.lost) == ([], [], set())


async def test_queues_on_another_server(
    binary: ServerBinary, scene: Scene, size: Size, chance: random.Random, report: Report
) -> None:
    """The same where the queue is on another server than the streams."""
    with EmbeddedServer(binary.path) as other:
        async with Traffic(scene, chance, queue_url=other.url) as traffic:
            for _ in range(2):
                traffic.subscribe()
            for kind in KINDS:
                await traffic.work(kind)
            operator = await traffic.operator()
            async with asyncio.TaskGroup() as group:
                group.create_task(traffic.publish(size.ordered_events))
                group.create_task(trouble(traffic, operator=operator, kinds=KINDS, kills=2, deeds=0))
            turns = await traffic.all_done(operator)
    report(traffic.verdict(turns))
    assert (turns.early, turns.again, turns.lost) == ([], [], set())


async def test_control_without_order(scene: Scene, size: Size, chance: random.Random, report: Report) -> None:
    """Control: without order_by, handlers begin before those of earlier events have returned."""
    async with Traffic(scene, chance, on_failure=None) as traffic:
        traffic.subscribe()
        for kind in KINDS:
            await traffic.work(kind)
        operator = await traffic.operator()
        await traffic.publish(size.ordered_events)
        turns = await traffic.all_done(operator)
    report(traffic.verdict(turns))
    assert turns.early
    assert turns.lost == set()
