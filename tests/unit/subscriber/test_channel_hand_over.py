"""The hand-over of one channel, and what ends an epoch: nothing is lost, and nothing is added twice."""

import asyncio
import logging

import pytest
from support.consuming import EVALUATED, GROUP, until
from support.subscribing import Scene

from domainstream.errors import ServerError, ServerOutOfMemoryError, ServerRefusedError, ServerUnavailableError
from domainstream.stream import Loss
from domainstream.stream.lease import LeaseLostError
from domainstream.stream.memory.streams import Pending

AWAY = ServerUnavailableError("away")
CALLS = ("take", "fence", "retry", "claim", "new", "add", "store_dead", "renew", "release")


pytestmark = pytest.mark.usefixtures("impatient")


async def test_another_s_lease_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """While another instance has the channel, nothing is read and nothing is wrong; then what it left comes first."""
    scene = Scene()
    jobs = scene.add(2)
    await scene.crash(scene.instance("one"), "add")
    jobs += scene.add()
    second = scene.instance("two")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        async with scene.running(second):
            await until(lambda: second.calls.count("take") > 4)
            assert not {"fence", "new"} & set(second.calls[:4])
            assert (await second.subscriber.health()).ok
            scene.now += 3600
            await scene.settled()
    assert scene.jobs() == jobs
    assert caplog.text == ""


async def test_next_owner_s_deliveries_count() -> None:
    """What an owner died of is delivered again, counted, and alone in the end; then it becomes a dead letter."""
    scene = Scene()
    scene.add()
    for name in ("one", "two", "three"):
        await scene.crash(scene.instance(name), "add")
        scene.now += 3600
    async with scene.running(scene.instance("four")):
        await scene.settled()
    assert [dead.error for dead in scene.streams.dead] == ["DeliveryLimitError"]
    assert scene.jobs() == []


async def test_own_deliveries_do_not_count() -> None:
    """However often an instance has to take its lease anew, healthy entries do not become dead letters."""
    scene = Scene()
    jobs = scene.add()
    instance = scene.instance()
    instance.fail("add", *[LeaseLostError("again")] * 5)
    async with scene.running(instance):
        await scene.settled()
    assert scene.jobs() == jobs
    assert "pending" in instance.calls


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [AWAY, LeaseLostError("another has it"), ServerRefusedError("not now")])
async def test_failed_call_loses_nothing_and_adds_nothing_twice(call: str, after: bool, error: Exception) -> None:
    """Whichever call fails, before or after it did its work, each event has its job once, in order.

    Queues forget their jobs at once, so that only marks can tell what was added.
    """
    scene = Scene()
    jobs = scene.add(2)
    added: list[str] = []
    await scene.crash(scene.instance("one"), "add")
    scene.now += 3600
    scene.streams.add(EVALUATED, b"rubbish")
    jobs += scene.add(20)
    instance = scene.instance("two")
    if call == "renew":
        instance.fail("add", AWAY)
    instance.fail(call, error, error, after=after)

    def collect() -> bool:
        added.extend(scene.jobs())
        scene.forget_jobs()
        return scene.is_settled()

    async with scene.running(instance):
        await until(collect)
    collect()
    assert added == jobs
    assert len(scene.streams.dead) == 1
    assert instance.faults.left < 2


@pytest.mark.parametrize("error", [ServerOutOfMemoryError("full"), AWAY])
async def test_jobs_are_added_in_place_until_the_server_takes_them(error: ServerError) -> None:
    """Meanwhile the lease is renewed, and nothing else is read: the channel's order is kept."""
    scene = Scene()
    jobs = scene.add(2)
    instance = scene.instance()
    instance.fail("add", *[error] * 3)
    instance.faults.gates["renew"] = asyncio.Event()
    async with scene.running(instance):
        await until(lambda: "renew" in instance.calls)
        jobs += scene.add()
        health = await instance.subscriber.health()
        instance.faults.gates["renew"].set()
        await scene.settled()
    assert (health.ok, health.problem) == (False, str(error))
    during = instance.calls[instance.calls.index("add") :]
    assert during[:7] == ["add", "renew", "add", "renew", "add", "renew", "add"]
    assert instance.calls.count("take") == 2  # one of each channel
    assert scene.jobs() == jobs


async def test_lease_that_is_taken_while_jobs_cannot_be_added_ends_the_attempts() -> None:
    """An owner that was paused adds nothing any more; the other has done it, and the events are there once."""
    scene = Scene()
    jobs = scene.add()
    late, other = scene.instance("one"), scene.instance("two")
    late.faults.gates["renew"] = asyncio.Event()
    late.fail("add", AWAY)
    async with scene.running(late):
        await until(lambda: "renew" in late.calls)
        scene.now += 3600
        async with scene.running(other):
            await scene.settled()
            scene.forget_jobs()
            late.faults.gates["renew"].set()
            await until(lambda: late.calls.count("take") > 2)
        jobs += scene.add()
        await scene.settled()
    assert scene.jobs() == jobs[1:]


async def test_later_owner_is_noticed_by_its_fence() -> None:
    """A queue that knows a later epoch refuses an earlier one: the instance takes the lease with a higher one."""
    scene = Scene()
    jobs = scene.add()
    async with scene.running(scene.instance("one")):
        await scene.settled()
    ((queue, field),) = [key for key in scene.queue.marks if key[0] == "valuation"]
    scene.queue.marks[queue, field].epoch += 10**9
    jobs += scene.add()
    async with scene.running(scene.instance("two")):
        await scene.settled()
    assert scene.jobs() == jobs
    assert scene.streams.leases[EVALUATED, GROUP].epoch > 10**9


async def test_group_that_vanished_is_made_again() -> None:
    """Everything is read once more; jobs that their queues still know are not added twice."""
    scene = Scene()
    jobs = scene.add(3)
    async with scene.running(scene.instance()):
        await scene.settled()
        scene.streams.destroy_group(EVALUATED, GROUP)
        jobs += scene.add()
        await scene.settled()
    assert scene.jobs() == jobs


async def test_group_that_is_set_back_hands_over_again() -> None:
    """A replay adds the jobs once more if they are forgotten, although the marks are past them."""
    scene = Scene()
    jobs = scene.add(3)
    async with scene.running(scene.instance()):
        await scene.settled()
        scene.forget_jobs()
        scene.streams.groups[EVALUATED, GROUP].last_id = "0-0"
        jobs += scene.add()
        await until(lambda: scene.jobs() == jobs)


async def test_what_other_consumers_left_is_handed_over() -> None:
    """It is claimed although marks are past it, added once, and acknowledged."""
    scene = Scene()
    jobs = scene.add(3)
    first = scene.instance("one")
    async with scene.running(first):
        await scene.settled()
    scene.forget_jobs()
    left = scene.streams.entries[EVALUATED][1].entry_id
    scene.streams.groups[EVALUATED, GROUP].pending[left] = Pending("old-consumer", scene.now - 3600)
    jobs += scene.add()
    async with scene.running(scene.instance("two")):
        await scene.settled()
    assert scene.jobs() == [jobs[1], jobs[3]]


async def test_pending_entry_that_was_deleted_is_a_loss() -> None:
    """It is reported to `on_loss` by its id, and holds up nothing."""
    scene, losses = Scene(), list[Loss]()
    scene.add(2)
    await scene.crash(scene.instance("one"), "add")
    (gone, _) = scene.pending
    scene.streams.delete(EVALUATED, gone)
    scene.now += 3600
    async with scene.running(scene.instance("two", on_loss=losses.append)):
        await scene.settled()
    assert losses == [Loss(EVALUATED, GROUP, 1, gone, gone)]
    assert len(scene.jobs()) == 1


async def test_trimmed_entries_are_a_loss() -> None:
    """What was removed unread is reported to `on_loss`."""
    scene, losses = Scene(), list[Loss]()
    scene.add()
    async with scene.running(scene.instance("one")):
        await scene.settled()
    scene.add(5)
    scene.streams.trim(EVALUATED, keep=2)
    async with scene.running(scene.instance("two", on_loss=losses.append)):
        await scene.settled()
    assert [loss.count for loss in losses] == [3]
