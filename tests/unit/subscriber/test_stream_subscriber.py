"""The program from streams to queues, on streams and queues in memory."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import CALCULATED, EVALUATED, calculated, running, subscriptions_of, until
from support.subscribing import Scene

from domainstream.errors import ConfigurationError, ServerUnavailableError
from domainstream.stream import ReaderSettings
from domainstream.subscriber import RedisBullMQStreamSubscriber

SUBSCRIPTIONS = subscriptions_of("valuation")
AWAY = ServerUnavailableError("away")


class CountingTask:
    """A maintenance task that fails every other time."""

    every = timedelta(milliseconds=1)

    def __init__(self) -> None:
        self.rounds = 0
        self.closed = False

    async def run_once(self) -> None:
        """Count, and fail in odd rounds."""
        self.rounds += 1
        if self.rounds % 2:
            raise AWAY

    async def close(self) -> None:
        """Record that it was closed."""
        self.closed = True


async def test_events_become_jobs_in_order() -> None:
    """What was there before and what comes later is in its queues, in order, and acknowledged."""
    scene = Scene("valuation", "billing")
    jobs = scene.add(40)
    async with scene.running(scene.instance()):
        await scene.settled()
        jobs += scene.add(3)
        await scene.settled()
    assert scene.jobs("valuation") == scene.jobs("billing") == jobs


async def test_channel_without_handlers_is_acknowledged() -> None:
    """Its entries do not stay pending, and become no jobs."""
    scene = Scene()
    scene.add_event(calculated())
    async with scene.running(scene.instance()):
        await until(lambda: scene.is_settled(CALCULATED))
    assert scene.queue.jobs == {}


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"rubbish", "HostileJsonError"), (b"{}", "InvalidEnvelopeError"), (None, "InvalidEnvelopeError")],
)
async def test_undecodable_entry_becomes_a_dead_letter_and_the_loop_goes_on(
    data: bytes | None, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An undecodable entry between two good ones becomes one dead letter and one line in the log."""
    scene = Scene()
    jobs = scene.add()
    poison = scene.streams.add(EVALUATED, data)
    jobs += scene.add()
    with caplog.at_level(logging.WARNING, "domainstream.subscriber"):
        async with scene.running(scene.instance()):
            await scene.settled()
    assert scene.jobs() == jobs
    assert [(dead.delivery.entry_id, dead.error) for dead in scene.streams.dead] == [(poison, error)]
    assert [record.message.split()[0] for record in caplog.records] == ["subscriber.dead_letter"]


async def test_instances_share_the_channels_in_order() -> None:
    """Several instances hand over each event once, in order, whichever of them has the channel."""
    scene = Scene()
    first, second = scene.instance("one"), scene.instance("two")
    async with scene.running(second):
        async with scene.running(first):
            jobs = scene.add(50)
            await scene.settled()
        jobs += scene.add(50)
        await scene.settled()
    assert scene.jobs() == jobs


async def test_stop_while_idle_returns_soon() -> None:
    """A subscriber that waits for new entries gives its leases up within two seconds of `stop`."""
    scene = Scene()
    instance = scene.instance()
    task = asyncio.create_task(instance.subscriber.run())
    await until(lambda: "new" in instance.calls)
    instance.subscriber.stop()
    async with asyncio.timeout(2):
        await task
    assert scene.owner == ""
    await instance.subscriber.close()


@pytest.mark.parametrize("call", ["take", "fence", "new", "add"])
async def test_stop_does_not_wait_for_the_server(call: str) -> None:
    """A subscriber whose servers are away ends as soon as an idle one; what is not handed over stays pending."""
    scene = Scene()
    scene.add()
    instance = scene.instance()
    instance.fail(call, *[AWAY] * 100)
    task = asyncio.create_task(instance.subscriber.run())
    await until(lambda: instance.calls.count(call) > 5)  # by now the pauses are longer than what the test allows
    instance.subscriber.stop()
    async with asyncio.timeout(2):
        await task
    assert not scene.queue.jobs
    assert not scene.is_settled()
    await instance.subscriber.close()


async def test_stop_does_not_wait_for_another_s_lease() -> None:
    """An instance that stands by ends at once."""
    scene = Scene()
    first, second = scene.instance("one"), scene.instance("two")
    async with scene.running(first):
        await until(lambda: "new" in first.calls)
        task = asyncio.create_task(second.subscriber.run())
        await until(lambda: "take" in second.calls)
        async with asyncio.timeout(0.5):
            await second.subscriber.close()
        await task


async def test_stop_forwards_what_was_read() -> None:
    """A subscriber that is stopped while it hands over leaves nothing pending."""
    scene, go_on = Scene(), asyncio.Event()
    jobs = scene.add()
    instance = scene.instance()
    instance.faults.gates["add"] = go_on
    async with running(instance.subscriber) as task:
        await until(lambda: "add" in instance.calls)
        instance.subscriber.stop()
        await asyncio.sleep(0)
        go_on.set()
    assert task.done() is True
    assert scene.is_settled() is True
    assert scene.jobs() == jobs


async def test_cancelled_run_can_be_closed() -> None:
    """After a cancellation, as by Ctrl-C, closing neither hangs nor raises; closing twice does nothing."""
    async with Scene().instance().subscriber as subscriber:
        task = asyncio.create_task(subscriber.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await subscriber.close()
    assert task.cancelled()


async def test_cancellation_in_the_middle_loses_nothing() -> None:
    """A run that is cancelled twice, which ends it at once, leaves what it was adding to the next one."""
    scene = Scene()
    jobs = scene.add()
    stuck = scene.instance("one")
    stuck.faults.gates["add"] = asyncio.Event()
    task = asyncio.create_task(stuck.subscriber.run())
    await until(lambda: "add" in stuck.calls)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.01)
    assert scene.pending
    scene.now += 3600
    async with scene.running(scene.instance("two")):
        await scene.settled()
    assert scene.jobs() == jobs
    await stuck.subscriber.close()


async def test_second_run_is_rejected_while_the_first_goes_on() -> None:
    """A subscriber that runs cannot be run again, and the attempt does not disturb it."""
    scene = Scene()
    instance = scene.instance()
    async with scene.running(instance):
        await asyncio.sleep(0)
        with pytest.raises(ConfigurationError, match="already running, or closed; create a new one"):
            await instance.subscriber.run()
        scene.add()
        await scene.settled()


async def test_run_after_close_is_rejected() -> None:
    """A closed subscriber says so instead of returning as if there had been nothing to do."""
    subscriber = Scene().instance().subscriber
    await subscriber.close()
    with pytest.raises(ConfigurationError, match="already running, or closed; create a new one"):
        await subscriber.run()


def test_empty_group_is_rejected() -> None:
    """A consumer group needs a name, and the error shows one."""
    with pytest.raises(ConfigurationError, match="use group='domain-events'"):
        RedisBullMQStreamSubscriber.from_url("redis://127.0.0.1", group="", subscriptions=SUBSCRIPTIONS)


async def test_batches_are_read_ahead_but_forwarded_in_order() -> None:
    """While one batch is being added, the next is read; none overtakes."""
    scene, go_on = Scene(), asyncio.Event()
    jobs = scene.add(3)
    instance = scene.instance(reading=ReaderSettings(max_entries=1))
    instance.faults.gates["add"] = go_on
    async with scene.running(instance):
        await until(lambda: len(scene.pending) == 2)
        await asyncio.sleep(0.01)
        assert (len(scene.pending), instance.calls.count("add")) == (2, 1)
        go_on.set()
        await scene.settled()
    assert scene.jobs() == jobs


async def test_channel_that_is_stuck_holds_up_no_other() -> None:
    """While the jobs of one channel cannot be added, the entries of another are read and settled."""
    scene = Scene()
    scene.add()
    instance = scene.instance()
    instance.faults.gates["add"] = asyncio.Event()
    async with scene.running(instance):
        await until(lambda: "add" in instance.calls)
        scene.add_event(calculated())
        await until(lambda: scene.is_settled(CALCULATED))
        assert not scene.is_settled(EVALUATED)
        instance.faults.gates["add"].set()


async def test_check_is_repeated_until_the_server_answers() -> None:
    """The check is repeated while the server is away, and nothing is read before it succeeded."""
    scene, errors = Scene(), [AWAY] * 2
    scene.add()

    async def check() -> None:
        if errors:
            assert not scene.streams.leases
            raise errors.pop()

    async with scene.running(scene.instance(check=check)):
        await scene.settled()
    assert errors == []


async def test_stop_ends_the_repetition_of_the_check() -> None:
    """A subscriber that is stopped before its server ever answered returns."""

    async def check() -> None:
        raise AWAY

    instance = Scene().instance(check=check)
    task = asyncio.create_task(instance.subscriber.run())
    await asyncio.sleep(0)
    await instance.subscriber.close()
    await task
    assert instance.calls == []


async def test_check_that_fails_ends_the_run() -> None:
    """A `ConfigurationError` of the check is raised by `run`."""

    async def check() -> None:
        raise ConfigurationError("The server cannot be used:", ["it evicts"])

    async with Scene().instance(check=check).subscriber as subscriber:
        with pytest.raises(ConfigurationError, match="it evicts"):
            await subscriber.run()


async def test_maintenance_goes_on_beside_reading() -> None:
    """Each maintenance task runs again and again, after errors too; the subscriber does not close what it was given."""
    scene, task = Scene(), CountingTask()
    async with scene.running(scene.instance(maintenance=[task])):
        await until(lambda: task.rounds > 2)
    assert not task.closed


async def test_entries_are_found_without_a_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel is looked at again after half of its lease at the latest, so that the lease is renewed."""
    scene = Scene()
    instance = scene.instance(reading=ReaderSettings(lease=timedelta(milliseconds=40)))
    monkeypatch.setattr(instance.subscriber._wake_ups, "wait", _never)
    async with scene.running(instance):
        await until(lambda: instance.calls.count("new") > 3)
        scene.add()
        await scene.settled()


async def _never(_: float) -> Any:
    await asyncio.Event().wait()
