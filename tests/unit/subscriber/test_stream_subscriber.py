"""The loop from streams to queues, on the implementations in memory."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from support.consuming import (
    EVALUATED,
    GROUP,
    Channel,
    evaluated,
    message,
    running,
    subscriptions_of,
    until,
)

from domainstream.errors import ConfigurationError, ServerUnavailableError
from domainstream.queue import Job, MemoryQueue, TwoStepForwarder
from domainstream.stream import (
    Delivery,
    MaintenanceTask,
    MemoryDeadLetters,
    MemoryStreamReader,
    MemoryStreams,
    ReaderSettings,
)
from domainstream.subscriber import (
    JobRouter,
    RedisBullMQStreamSubscriber,
    StreamSubscriber,
)

SUBSCRIPTIONS = subscriptions_of("valuation")
READING = ReaderSettings(block=timedelta(milliseconds=20))


class FailingQueue(MemoryQueue):
    """A queue whose server is away for the first `failures` calls, which fail before or after adding the jobs."""

    def __init__(self, failures: int, *, after_adding: bool) -> None:
        super().__init__()
        self.failures = failures
        self.after_adding = after_adding

    async def add(self, jobs: Sequence[Job]) -> None:
        """Fail, before or after adding."""
        if self.failures == 0 or self.after_adding:
            await super().add(jobs)
        if self.failures:
            self.failures -= 1
            raise ServerUnavailableError("away")


class WatchedReader(MemoryStreamReader):
    """A reader that records how many jobs there were at each acknowledgement."""

    queue: MemoryQueue
    jobs_at_acknowledge: list[int]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Record how many jobs there are."""
        self.jobs_at_acknowledge.append(sum(map(len, self.queue.jobs.values())))
        await super().acknowledge(deliveries)


class HeldQueue(MemoryQueue):
    """A queue that adds nothing until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def add(self, jobs: Sequence[Job]) -> None:
        """Wait, then add."""
        self.asked.set()
        await self.go_on.wait()
        await super().add(jobs)


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
            raise ServerUnavailableError("away")

    async def close(self) -> None:
        """Record that it was closed."""
        self.closed = True


def subscriber_of(
    streams: MemoryStreams,
    queue: MemoryQueue,
    check: Callable[[], Awaitable[None]] | None = None,
    maintenance: Sequence[MaintenanceTask] = (),
) -> StreamSubscriber:
    """Wire a subscriber to memory."""
    reader = MemoryStreamReader(streams, Channel, group=GROUP, settings=READING)
    forwarder = TwoStepForwarder(queue, MemoryDeadLetters(streams, group=GROUP), reader)
    return StreamSubscriber(reader, forwarder, JobRouter(SUBSCRIPTIONS), check=check, maintenance=maintenance)


def settled(streams: MemoryStreams, channel: str = EVALUATED) -> bool:
    """Return whether the group has read and acknowledged everything."""
    group = streams.group(channel, GROUP)
    return group.read == len(streams.entries[channel]) and not group.pending


async def test_jobs_exist_before_anything_is_acknowledged() -> None:
    """When an entry is acknowledged, its jobs are in their queue already."""
    streams, queue = MemoryStreams(), MemoryQueue()
    reader = WatchedReader(streams, Channel, group=GROUP)
    reader.queue, reader.jobs_at_acknowledge = queue, []
    streams.add(EVALUATED, message(evaluated()))
    forwarder = TwoStepForwarder(queue, MemoryDeadLetters(streams, group=GROUP), reader)
    async with running(StreamSubscriber(reader, forwarder, JobRouter(SUBSCRIPTIONS))):
        await until(lambda: settled(streams))
    assert reader.jobs_at_acknowledge == [1]


@pytest.mark.parametrize("after_adding", [False, True])
async def test_failed_add_is_retried_until_it_works(after_adding: bool) -> None:
    """While the queue's server is away nothing is acknowledged; then each event has exactly one job, in order."""
    streams, queue = MemoryStreams(), FailingQueue(3, after_adding=after_adding)
    events = [evaluated() for _ in range(3)]
    for event in events:
        streams.add(EVALUATED, message(event))
    async with running(subscriber_of(streams, queue)):
        await until(lambda: settled(streams))
    assert [job.id for job in queue.jobs["valuation"]] == [f"event-{event.id}" for event in events]


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"rubbish", "HostileJsonError"), (b"{}", "InvalidEnvelopeError"), (None, "InvalidEnvelopeError")],
)
async def test_undecodable_entry_becomes_a_dead_letter_and_the_loop_goes_on(
    data: bytes | None, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An undecodable entry between two good ones becomes one dead letter and one line in the log."""
    streams, queue = MemoryStreams(), MemoryQueue()
    good = [evaluated(), evaluated()]
    streams.add(EVALUATED, message(good[0]))
    poison = streams.add(EVALUATED, data)
    streams.add(EVALUATED, message(good[1]))
    with caplog.at_level(logging.WARNING, "domainstream.subscriber"):
        async with running(subscriber_of(streams, queue)):
            await until(lambda: settled(streams))
    assert [job.id for job in queue.jobs["valuation"]] == [f"event-{event.id}" for event in good]
    assert [(dead.delivery.entry_id, dead.error) for dead in streams.dead] == [(poison, error)]
    assert [record.message.split()[0] for record in caplog.records] == ["subscriber.dead_letter"]


async def test_stop_while_blocked_returns_soon() -> None:
    """A subscriber that waits for new entries ends within two seconds of `stop`."""
    subscriber = subscriber_of(MemoryStreams(), MemoryQueue())
    task = asyncio.create_task(subscriber.run())
    await asyncio.sleep(0)
    subscriber.stop()
    async with asyncio.timeout(2):
        await task
    await subscriber.close()


async def test_stop_does_not_wait_for_the_server() -> None:
    """A subscriber whose queues are away ends as soon as an idle one."""
    streams, queue = MemoryStreams(), FailingQueue(10**6, after_adding=False)
    streams.add(EVALUATED, message(evaluated()))
    subscriber = subscriber_of(streams, queue)
    task = asyncio.create_task(subscriber.run())
    # By now the pauses are longer than what the test allows.
    await until(lambda: queue.failures < 10**6 - 5)
    subscriber.stop()
    async with asyncio.timeout(2):
        await task
    await subscriber.close()


async def test_cancelled_run_can_be_closed() -> None:
    """After a cancellation, as by Ctrl-C, closing neither hangs nor raises; closing twice does nothing."""
    async with subscriber_of(MemoryStreams(), MemoryQueue()) as subscriber:
        task = asyncio.create_task(subscriber.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await subscriber.close()
    assert task.cancelled()


async def test_second_run_is_rejected_while_the_first_goes_on() -> None:
    """A subscriber that runs cannot be run again, and the attempt does not disturb it."""
    streams = MemoryStreams()
    subscriber = subscriber_of(streams, MemoryQueue())
    async with running(subscriber):
        await asyncio.sleep(0)
        with pytest.raises(ConfigurationError, match="already running, or closed; create a new one"):
            await subscriber.run()
        streams.add(EVALUATED, message(evaluated()))
        await until(lambda: settled(streams))


async def test_run_after_close_is_rejected() -> None:
    """A closed subscriber says so instead of returning as if there had been nothing to do."""
    subscriber = subscriber_of(MemoryStreams(), MemoryQueue())
    await subscriber.close()
    with pytest.raises(ConfigurationError, match="already running, or closed; create a new one"):
        await subscriber.run()


def test_empty_group_is_rejected() -> None:
    """A consumer group needs a name, and the error shows one."""
    with pytest.raises(ConfigurationError, match="use group='domain-events'"):
        RedisBullMQStreamSubscriber.from_url("redis://127.0.0.1", group="", subscriptions=SUBSCRIPTIONS)


async def test_batches_are_read_ahead_but_forwarded_in_order() -> None:
    """While one batch is being forwarded, the next is read; none overtakes."""
    streams, queue = MemoryStreams(), HeldQueue()
    events = [evaluated() for _ in range(3)]
    streams.add(EVALUATED, message(events[0]))
    async with running(subscriber_of(streams, queue)):
        await queue.asked.wait()
        streams.add(EVALUATED, message(events[1]))
        await until(lambda: streams.group(EVALUATED, GROUP).read == 2)
        assert queue.jobs == {}
        queue.go_on.set()
        streams.add(EVALUATED, message(events[2]))
        await until(lambda: settled(streams))
    assert [job.id for job in queue.jobs["valuation"]] == [f"event-{event.id}" for event in events]


async def test_stop_forwards_what_was_read() -> None:
    """A subscriber that is stopped while it forwards leaves nothing pending."""
    streams, queue = MemoryStreams(), HeldQueue()
    streams.add(EVALUATED, message(evaluated()))
    async with running(subscriber_of(streams, queue)) as task:
        await queue.asked.wait()
        asyncio.get_running_loop().call_later(0.05, queue.go_on.set)
    assert task.done() is True
    assert settled(streams) is True


async def test_check_is_repeated_until_the_server_answers() -> None:
    """The check is repeated while the server is away, and nothing is read before it succeeded."""
    streams, queue, errors = MemoryStreams(), MemoryQueue(), [ServerUnavailableError("away")] * 2
    streams.add(EVALUATED, message(evaluated()))

    async def check() -> None:
        if errors:
            assert streams.group(EVALUATED, GROUP).read == 0
            raise errors.pop()

    async with running(subscriber_of(streams, queue, check)):
        await until(lambda: settled(streams))
    assert errors == []


async def test_check_that_fails_ends_the_run() -> None:
    """A `ConfigurationError` of the check is raised by `run`."""

    async def check() -> None:
        raise ConfigurationError("The server cannot be used:", ["it evicts"])

    async with subscriber_of(MemoryStreams(), MemoryQueue(), check) as subscriber:
        with pytest.raises(ConfigurationError, match="it evicts"):
            await subscriber.run()


async def test_maintenance_goes_on_beside_reading() -> None:
    """Each maintenance task runs again and again, after errors too; the subscriber does not close what it was given."""
    task = CountingTask()
    async with running(subscriber_of(MemoryStreams(), MemoryQueue(), maintenance=[task])):
        await until(lambda: task.rounds > 2)
    assert not task.closed


async def test_bug_in_a_maintenance_task_ends_the_run() -> None:
    """An exception that is not a server error is a bug, and is raised by `run`."""

    class Broken(CountingTask):
        async def run_once(self) -> None:
            raise ZeroDivisionError

    async with subscriber_of(MemoryStreams(), MemoryQueue(), maintenance=[Broken()]) as subscriber:
        with pytest.raises(ZeroDivisionError):
            await subscriber.run()
