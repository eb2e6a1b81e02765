"""Entries that one queue does not take, although it takes others."""

import pytest
from support.consuming import EVALUATED, GROUP, until
from support.subscribing import SOON, Scene

from domainstream.errors import ServerUnavailableError
from domainstream.stream.memory.streams import Pending

pytestmark = pytest.mark.usefixtures("impatient")


def refusing(scene: Scene, *jobs: str) -> None:
    """Let the queue `billing` refuse these jobs."""
    take = type(scene.queue).take.__get__(scene.queue)
    scene.queue.take = lambda job: "WRONGTYPE" if job.queue == "billing" and job.id in jobs else take(job)  # type: ignore[method-assign]


def accepting(scene: Scene) -> None:
    """Let it take all jobs."""
    del scene.queue.take


async def test_refused_entry_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The entries behind it are handed over; it stays pending, is reported, and is tried again until it is taken."""
    scene = Scene("valuation", "billing")
    jobs = scene.add(3)
    refusing(scene, jobs[1])
    instance = scene.instance(reading=SOON)
    async with scene.running(instance):
        await until(lambda: len(scene.pending) == 1)
        assert scene.jobs("billing") == [jobs[0], jobs[2]]
        assert scene.jobs("valuation") == jobs
        accepting(scene)
        scene.forget_jobs()
        await scene.settled()
    assert scene.jobs("billing") == [jobs[1]]
    assert scene.jobs("valuation") == []
    assert "subscriber.refused" in caplog.text
    assert "queue=billing" in caplog.text
    assert instance.subscriber.stats.skipped >= 1
    assert instance.subscriber.stats.forwarded == 3


async def test_entry_that_is_refused_at_its_last_delivery_becomes_a_dead_letter() -> None:
    """At the delivery limit, the message of the server becomes the reason, and the queues forget the entry."""
    scene = Scene("valuation", "billing")
    jobs = scene.add(2)
    refusing(scene, jobs[0])
    instance = scene.instance(reading=SOON)
    async with scene.running(instance):
        await scene.settled()
    ((letter),) = scene.streams.dead
    assert (letter.error, letter.reason, letter.delivery.deliveries) == ("ServerRefusedError", "WRONGTYPE", 3)
    assert scene.jobs("billing") == jobs[1:]
    assert not any(mark.holes for mark in scene.queue.marks.values())
    assert instance.subscriber.stats.dead_letters == 1


async def test_refused_entry_is_the_next_owner_s() -> None:
    """Whoever takes the channel next tries it again, and adds it where it is missing."""
    scene = Scene("valuation", "billing")
    jobs = scene.add(2)
    refusing(scene, jobs[0])
    async with scene.running(scene.instance("one")):
        await until(lambda: len(scene.pending) == 1)
    accepting(scene)
    scene.forget_jobs()
    async with scene.running(scene.instance("two")):
        await scene.settled()
    assert (scene.jobs("valuation"), scene.jobs("billing")) == ([], jobs[:1])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_dead_letter_is_stored_once_though_a_reply_is_lost(after: bool) -> None:
    """Whatever fails on the way, a refused entry has one dead letter and no job."""
    scene = Scene("valuation", "billing")
    jobs = scene.add()
    refusing(scene, *jobs)
    instance = scene.instance(reading=SOON)
    instance.fail("store_dead", ServerUnavailableError("away"), after=after)
    async with scene.running(instance):
        await scene.settled()
    assert len(scene.streams.dead) == 1
    assert scene.jobs("billing") == []


async def test_channel_waits_when_too_much_is_refused() -> None:
    """A queue that takes nothing at all stops its channel, until it takes something or people get dead letters."""
    scene = Scene("valuation", "billing")
    jobs = scene.add(150)
    scene.queue.refusing["billing"] = "WRONGTYPE"
    waiting = scene.instance()
    async with scene.running(waiting):
        await until(lambda: waiting.subscriber.stats.failures)
        assert "refuses too many" in waiting.subscriber.stats.last_error
        assert not scene.streams.dead
    scene.now += 3600
    async with scene.running(scene.instance("two", reading=SOON)):
        await scene.settled()
    assert scene.jobs("valuation") == jobs
    assert {letter.error for letter in scene.streams.dead} == {"ServerRefusedError"}
    assert [letter.delivery.entry_id for letter in scene.streams.dead] == [f"{number}-0" for number in range(1, 151)]


async def test_refused_claimed_entry_is_tried_again() -> None:
    """An entry that was claimed from another consumer stays pending until the queue takes it."""
    scene = Scene("valuation", "billing")
    (job,) = scene.add()
    refusing(scene, job)
    await scene.crash(scene.instance("one"), "new")
    group = scene.streams.groups[EVALUATED, GROUP]
    group.last_id, group.read = scene.streams.entries[EVALUATED][0].entry_id, 1
    group.pending[group.last_id] = Pending("old-consumer", scene.now)
    scene.now += 3600
    instance = scene.instance("two", reading=SOON)
    async with scene.running(instance):
        await until(lambda: instance.subscriber.stats.skipped)
        accepting(scene)
        await scene.settled()
    assert scene.jobs("billing") == [job]
