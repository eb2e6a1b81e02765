"""The loop between streams and queues, on the implementations in memory."""

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
    """A queue whose server is away for the first so many calls, after having taken the jobs or before."""

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
    """A reader that writes down how many jobs there were when something was acknowledged."""

    queue: MemoryQueue
    jobs_at_acknowledge: list[int]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Note how many jobs there are."""
        self.jobs_at_acknowledge.append(sum(map(len, self.queue.jobs.values())))
        await super().acknowledge(deliveries)


class HeldQueue(MemoryQueue):
    """A queue that takes nothing until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def add(self, jobs: Sequence[Job]) -> None:
        """Wait, then add."""
        self.asked.set()
        await self.go_on.wait()
        await super().add(jobs)


class CountingUpkeep:
    """An upkeep that fails every other time."""

    every = timedelta(milliseconds=1)

    def __init__(self) -> None:
        self.rounds = 0
        self.closed = False

    async def run_once(self) -> None:
        """Count, and fail at first."""
        self.rounds += 1
        if self.rounds % 2:
            raise ServerUnavailableError("away")

    async def close(self) -> None:
        """Note it."""
        self.closed = True


def subscriber_of(
    streams: MemoryStreams,
    queue: MemoryQueue,
    check: Callable[[], Awaitable[None]] | None = None,
    maintenance: Sequence[MaintenanceTask] = (),
) -> StreamSubscriber:
    """Wire a subscriber to memory."""
    reader = MemoryStreamReader(streams, Channel, group=GROUP, settings=READING)
    forward = TwoStepForwarder(queue, MemoryDeadLetters(streams, group=GROUP), reader)
    return StreamSubscriber(reader, forward, JobRouter(SUBSCRIPTIONS), check=check, maintenance=maintenance)


def settled(streams: MemoryStreams, channel: str = EVALUATED) -> bool:
    """Tell whether the group has read and acknowledged everything."""
    group = streams.group(channel, GROUP)
    return group.read == len(streams.entries[channel]) and not group.pending


async def test_jobs_exist_before_anything_is_acknowledged() -> None:
    """At the moment of acknowledging, the jobs are in their queue."""
    streams, queue = MemoryStreams(), MemoryQueue()
    reader = WatchedReader(streams, Channel, group=GROUP)
    reader.queue, reader.jobs_at_acknowledge = queue, []
    streams.add(EVALUATED, message(evaluated()))
    forward = TwoStepForwarder(queue, MemoryDeadLetters(streams, group=GROUP), reader)
    async with running(StreamSubscriber(reader, forward, JobRouter(SUBSCRIPTIONS))):
        await until(lambda: settled(streams))
    assert reader.jobs_at_acknowledge == [1]


@pytest.mark.parametrize("after_adding", [False, True])
async def test_failed_add_is_tried_again_until_it_works(after_adding: bool) -> None:
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
async def test_undecodable_entry_is_buried_and_the_loop_goes_on(
    data: bytes | None, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Poison between two good entries costs one dead letter and one line in the log."""
    streams, queue = MemoryStreams(), MemoryQueue()
    good = [evaluated(), evaluated()]
    streams.add(EVALUATED, message(good[0]))
    poison = streams.add(EVALUATED, data)
    streams.add(EVALUATED, message(good[1]))
    with caplog.at_level(logging.WARNING, "domainstream.subscriber"):
        async with running(subscriber_of(streams, queue)):
            await until(lambda: settled(streams))
    assert [job.id for job in queue.jobs["valuation"]] == [f"event-{event.id}" for event in good]
    assert [(letter.delivery.entry_id, letter.error) for letter in streams.dead] == [(poison, error)]
    assert [record.message.split()[0] for record in caplog.records] == ["subscriber.dead_letter"]


async def test_stop_while_blocked_returns_soon() -> None:
    """A subscriber that waits for news ends within two seconds of being told to."""
    subscriber = subscriber_of(MemoryStreams(), MemoryQueue())
    task = asyncio.create_task(subscriber.run())
    await asyncio.sleep(0)
    subscriber.stop()
    async with asyncio.timeout(2):
        await task
    await subscriber.close()


async def test_stop_does_not_wait_for_the_server() -> None:
    """A subscriber whose queues are away ends as soon as one that is idle."""
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
    """After a cancellation, as by Ctrl-C, closing neither hangs nor complains; closing twice does nothing."""
    async with subscriber_of(MemoryStreams(), MemoryQueue()) as subscriber:
        task = asyncio.create_task(subscriber.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await subscriber.close()
    assert task.cancelled()


async def test_second_run_is_refused_while_the_first_goes_on() -> None:
    """A subscriber that runs cannot be run again, and is not disturbed by the attempt."""
    streams = MemoryStreams()
    subscriber = subscriber_of(streams, MemoryQueue())
    async with running(subscriber):
        await asyncio.sleep(0)
        with pytest.raises(ConfigurationError, match="already running, or closed; create a new one"):
            await subscriber.run()
        streams.add(EVALUATED, message(evaluated()))
        await until(lambda: settled(streams))


async def test_run_after_close_is_refused() -> None:
    """A closed subscriber says so instead of returning as if there had been nothing to do."""
    subscriber = subscriber_of(MemoryStreams(), MemoryQueue())
    await subscriber.close()
    with pytest.raises(ConfigurationError, match="already running, or closed; create a new one"):
        await subscriber.run()


def test_empty_group_is_refused() -> None:
    """A consumer group needs a name, and the error says what to type."""
    with pytest.raises(ConfigurationError, match="use group='domain-events'"):
        RedisBullMQStreamSubscriber.from_url("redis://127.0.0.1", group="", subscriptions=SUBSCRIPTIONS)


async def test_batches_are_read_ahead_but_handed_over_in_order() -> None:
    """While one batch is being handed over the next is read; none overtakes."""
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


async def test_stop_hands_over_what_was_read() -> None:
    """A subscriber that is stopped while it hands over leaves nothing pending."""
    streams, queue = MemoryStreams(), HeldQueue()
    streams.add(EVALUATED, message(evaluated()))
    async with running(subscriber_of(streams, queue)) as task:
        await queue.asked.wait()
        asyncio.get_running_loop().call_later(0.05, queue.go_on.set)
    assert task.done() is True
    assert settled(streams) is True


async def test_check_is_repeated_until_the_server_answers() -> None:
    """A server that is not there yet is no reason to give up; nothing is read before it was checked."""
    streams, queue, errors = MemoryStreams(), MemoryQueue(), [ServerUnavailableError("away")] * 2
    streams.add(EVALUATED, message(evaluated()))

    async def check() -> None:
        if errors:
            assert streams.group(EVALUATED, GROUP).read == 0
            raise errors.pop()

    async with running(subscriber_of(streams, queue, check)):
        await until(lambda: settled(streams))
    assert errors == []


async def test_check_that_refuses_ends_the_run() -> None:
    """A server that must not be used is an error of `run`."""

    async def check() -> None:
        raise ConfigurationError("The server cannot be used:", ["it evicts"])

    async with subscriber_of(MemoryStreams(), MemoryQueue(), check) as subscriber:
        with pytest.raises(ConfigurationError, match="it evicts"):
            await subscriber.run()


async def test_upkeep_goes_on_beside_reading() -> None:
    """Each upkeep runs again and again, after errors too, and is closed with the subscriber."""
    maintenance = CountingUpkeep()
    async with running(subscriber_of(MemoryStreams(), MemoryQueue(), maintenance=[maintenance])):
        await until(lambda: maintenance.rounds > 2)
    assert maintenance.closed


async def test_mistake_in_an_upkeep_ends_the_run() -> None:
    """What is no failure of the server is a mistake, and is raised instead of being forgotten."""

    class Broken(CountingUpkeep):
        async def run_once(self) -> None:
            raise ZeroDivisionError

    async with subscriber_of(MemoryStreams(), MemoryQueue(), maintenance=[Broken()]) as subscriber:
        with pytest.raises(ZeroDivisionError):
            await subscriber.run()
