"""Queues whose server has lost the last jobs that it had acknowledged, as in a failover."""

import pytest
from support.consuming import EVALUATED, until
from support.subscribing import SOON, Scene

from domainstream.errors import ServerUnavailableError
from domainstream.stream.lease import LeaseLostError
from domainstream.subscriber import lost_jobs

QUEUES = ("valuation", "billing")
pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few entries fill several pages."""
    monkeypatch.setattr(lost_jobs, "PAGE", 4)


async def have_lost(scene: Scene, *queues: str, kept: int = 3, lost: int = 10) -> list[str]:
    """Let some queues lose jobs whose entries are acknowledged; return the ids of all jobs."""
    jobs = scene.add(kept)
    instance = scene.instance("one")
    async with scene.running(instance):
        await scene.settled()
        scene.save()
        jobs += scene.add(lost)
        await scene.settled()
    for queue in queues:
        scene.lose(queue)
        assert scene.jobs(queue) == jobs[:kept]
    return jobs


@pytest.mark.parametrize("lost", [QUEUES, QUEUES[:1], QUEUES[1:]], ids=str)
async def test_owner_adds_lost_jobs_again(lost: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    """The next call notices; the entries come again from the stream, in order, to the queues that lack them only."""
    scene = Scene(*QUEUES)
    jobs = scene.add(3)
    async with scene.running(scene.instance()):
        await scene.settled()
        scene.save()
        jobs += scene.add(10)
        await scene.settled()
        for queue in lost:
            scene.lose(queue)
        jobs += scene.add(5)
        await until(lambda: all(scene.jobs(queue) == jobs for queue in QUEUES))
    assert caplog.text.count("subscriber.jobs_restored") == len(lost)
    assert f"channel={EVALUATED.value} queue={lost[0]} entries=10 until=13-0" in caplog.text


@pytest.mark.parametrize("lost", [QUEUES, QUEUES[:1], QUEUES[1:]], ids=str)
async def test_next_owner_adds_lost_jobs_again(lost: tuple[str, ...]) -> None:
    """A new owner compares the marks with what the group had read, so nothing has to be published for it."""
    scene = Scene(*QUEUES)
    jobs = await have_lost(scene, *lost)
    async with scene.running(scene.instance("two")):
        await until(lambda: all(scene.jobs(queue) == jobs for queue in QUEUES))


async def test_without_comparing_they_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: their entries are acknowledged, so nobody delivers them again."""

    def compare(*_: object, **__: object) -> None: ...

    monkeypatch.setattr(lost_jobs.LostJobs, "compare", compare)
    scene = Scene(*QUEUES)
    jobs = await have_lost(scene, *QUEUES)
    jobs += scene.add()
    async with scene.running(scene.instance("two")):
        await scene.settled()
    assert scene.jobs("valuation") == [*jobs[:3], jobs[-1]]


@pytest.mark.parametrize("failures", range(1, 4))
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [ServerUnavailableError("away"), LeaseLostError("another has it")])
async def test_interruptions_in_the_middle_lose_nothing(failures: int, after: bool, error: Exception) -> None:
    """Whatever page fails, and whoever goes on, all that was lost is added again, in order, once."""
    scene = Scene(*QUEUES)
    jobs = await have_lost(scene, *QUEUES)
    second = scene.instance("two")
    second.faults.fail("look", *[error] * failures, after=after)
    second.faults.fail("add", *[error] * failures, after=after)
    async with scene.running(second):
        await until(lambda: all(scene.jobs(queue) == jobs for queue in QUEUES))
        jobs += scene.add()
        await scene.settled()
    assert scene.jobs("valuation") == scene.jobs("billing") == jobs


async def test_owner_that_dies_in_the_middle_leaves_the_rest_to_the_next() -> None:
    """Marks say how far it got."""
    scene = Scene(*QUEUES)
    jobs = await have_lost(scene, *QUEUES)
    second = scene.instance("two")
    second.faults.allow("look", 2)
    await scene.crash(second, "look")
    assert 3 < len(scene.jobs("valuation")) < 13
    scene.now += 3600
    async with scene.running(scene.instance("three")):
        await until(lambda: all(scene.jobs(queue) == jobs for queue in QUEUES))


async def test_queue_that_loses_them_again_gets_them_again() -> None:
    """A second failover while lost jobs are being added is noticed as well."""
    scene = Scene(*QUEUES)
    jobs = await have_lost(scene, *QUEUES)
    second = scene.instance("two")

    def save_then_lose() -> None:
        scene.save()
        second.faults.allow("look", 3)
        second.faults.at("look", lambda: scene.lose("valuation"))

    second.faults.at("look", save_then_lose)
    async with scene.running(second):
        jobs += scene.add()
        await scene.settled()
        await until(lambda: all(scene.jobs(queue) == jobs for queue in QUEUES))


async def test_pending_entries_are_delivered_with_what_is_lost_around_them() -> None:
    """What one queue refused stays pending, between entries that another queue lost later: none is left out."""
    scene = Scene(*QUEUES)
    jobs = scene.add(3)
    async with scene.running(scene.instance("one")):
        await scene.settled()
        scene.save()
        scene.queue.refusing["billing"] = "WRONGTYPE"
        jobs += scene.add(1)
        await until(lambda: len(scene.pending) == 1)
        scene.queue.refusing.clear()
        jobs += scene.add(6)
        await until(lambda: len(scene.jobs("valuation")) == 10)
    scene.lose("valuation")
    async with scene.running(scene.instance("two")):
        await until(lambda: scene.jobs("valuation") == jobs)
        await scene.settled()
    assert sorted(scene.jobs("billing")) == sorted(jobs)


async def test_refused_entry_among_the_lost_ones_stays_noted() -> None:
    """An entry that a queue refuses again is not taken for done because entries behind it are added again."""
    scene = Scene(*QUEUES)
    scene.add(3)
    async with scene.running(scene.instance("one", reading=SOON)) as _:
        await scene.settled()
        scene.save()
        scene.queue.refusing["billing"] = "WRONGTYPE"
        (refused,) = scene.add(1)
        await until(lambda: len(scene.pending) == 1)
        scene.lose("billing")
        scene.add(2)
        await until(lambda: len(scene.jobs("valuation")) == 6)
        scene.queue.refusing.clear()
        await scene.settled()
    assert refused in scene.jobs("billing") or scene.streams.dead


async def test_more_than_the_most_is_left_to_people(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that was restored from an old copy does not get everything again; the error says from where on."""
    monkeypatch.setattr(lost_jobs, "MOST", 8)
    scene = Scene()
    jobs = await have_lost(scene, "valuation", lost=20)
    async with scene.running(scene.instance("two")):
        await until(lambda: len(scene.jobs()) == 11)
        jobs += scene.add()
        await scene.settled()
    assert scene.jobs() == [*jobs[:11], jobs[-1]]
    assert f"subscriber.jobs_lost channel={EVALUATED.value} queue=valuation entries=8 until=11-0" in caplog.text


async def test_queue_that_was_subscribed_again_later_gets_nothing_old() -> None:
    """A queue that the owner before did not serve has lost nothing, however far behind its mark is."""
    scene = Scene(*QUEUES)
    jobs = scene.add(3)
    async with scene.running(scene.instance("one")):
        await scene.settled()
    scene.queues = ("valuation",)
    jobs += scene.add(5)
    async with scene.running(scene.instance("two")):
        await scene.settled()
    scene.queues = QUEUES
    jobs += scene.add(2)
    async with scene.running(scene.instance("three")):
        await scene.settled()
    assert scene.jobs("valuation") == jobs
    assert scene.jobs("billing") == [*jobs[:3], *jobs[8:]]
