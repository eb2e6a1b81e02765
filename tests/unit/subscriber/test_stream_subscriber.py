"""The loop between streams and queues, on the implementations in memory."""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    Channel,
    calculated,
    evaluated,
    message,
    running,
    subscriptions_of,
    until,
)

from domainstream.errors import ConfigurationError, ServerUnavailableError
from domainstream.queue import Job, MemoryQueue
from domainstream.stream import Delivery, MemoryDeadLetters, MemoryStreamReader, MemoryStreams
from domainstream.subscriber import (
    RedisBullMQStreamSubscriber,
    Sorter,
    StreamSubscriber,
    Subscriptions,
    create_multiple_handlers,
    to_queue,
)

SUBSCRIPTIONS = subscriptions_of("valuation")


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


def subscriber_of(
    streams: MemoryStreams, queue: MemoryQueue, subscriptions: Subscriptions = SUBSCRIPTIONS
) -> StreamSubscriber:
    """Wire a subscriber to memory."""
    reader = MemoryStreamReader(streams, Channel, group=GROUP)
    return StreamSubscriber(reader, queue, MemoryDeadLetters(streams, group=GROUP), Sorter(subscriptions))


def settled(streams: MemoryStreams, channel: str = EVALUATED) -> bool:
    """Tell whether the group has read and acknowledged everything."""
    group = streams.group(channel, GROUP)
    return group.read == len(streams.entries[channel]) and not group.pending


async def test_each_handler_gets_a_job() -> None:
    """An event becomes one job per handler of its channel, with the handler's queue and name."""
    streams, queue, event = MemoryStreams(), MemoryQueue(), evaluated()
    handlers = [to_queue("valuation", job="price-stay"), to_queue("billing", job="bill-stay")]
    streams.add(EVALUATED, message(event))
    subscriptions = create_multiple_handlers({EVALUATED: handlers, CALCULATED: []})
    async with running(subscriber_of(streams, queue, subscriptions)):
        await until(lambda: settled(streams))
    found = [(job.queue, job.name, job.id) for jobs in queue.jobs.values() for job in jobs]
    assert found == [("valuation", "price-stay", f"event-{event.id}"), ("billing", "bill-stay", f"event-{event.id}")]


async def test_two_jobs_in_one_queue_have_ids_of_their_own() -> None:
    """A queue that does two things for one event gets both jobs, instead of taking the second for a repeat."""
    streams, queue, event = MemoryStreams(), MemoryQueue(), evaluated()
    handlers = [to_queue("valuation", job="price"), to_queue("valuation", job="archive")]
    streams.add(EVALUATED, message(event))
    subscriptions = create_multiple_handlers({EVALUATED: handlers, CALCULATED: []})
    async with running(subscriber_of(streams, queue, subscriptions)):
        await until(lambda: settled(streams))
    assert [job.id for job in queue.jobs["valuation"]] == [f"event-{event.id}.price", f"event-{event.id}.archive"]


async def test_jobs_exist_before_anything_is_acknowledged() -> None:
    """At the moment of acknowledging, the jobs are in their queue."""
    streams, queue = MemoryStreams(), MemoryQueue()
    reader = WatchedReader(streams, Channel, group=GROUP)
    reader.queue, reader.jobs_at_acknowledge = queue, []
    streams.add(EVALUATED, message(evaluated()))
    dead_letters = MemoryDeadLetters(streams, group=GROUP)
    async with running(StreamSubscriber(reader, queue, dead_letters, Sorter(SUBSCRIPTIONS))):
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


async def test_channel_without_handlers_is_only_acknowledged() -> None:
    """Nobody listens: no job, no dead letter, nothing pending, not even for an entry that nobody could read."""
    streams, queue = MemoryStreams(), MemoryQueue()
    streams.add(CALCULATED, message(calculated()))
    streams.add(CALCULATED, b"rubbish")
    async with running(subscriber_of(streams, queue)):
        await until(lambda: settled(streams, CALCULATED))
    assert (queue.jobs, streams.dead) == ({}, [])


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
    assert len(caplog.records) == 1
    assert caplog.records[0].message.startswith(f"dead letter: {EVALUATED} {poison}: {error}")


async def test_stop_while_blocked_returns_soon() -> None:
    """A subscriber that waits for news ends within two seconds of being told to."""
    subscriber = subscriber_of(MemoryStreams(), MemoryQueue())
    task = asyncio.create_task(subscriber.run())
    await asyncio.sleep(0)
    subscriber.stop()
    async with asyncio.timeout(2):
        await task
    await subscriber.close()


async def test_stop_during_a_pause_returns_at_once() -> None:
    """A subscriber that waits for its server to come back need not wait to end."""
    streams, queue = MemoryStreams(), FailingQueue(10**6, after_adding=False)
    streams.add(EVALUATED, message(evaluated()))
    subscriber = subscriber_of(streams, queue)
    task = asyncio.create_task(subscriber.run())
    # By now the pauses are longer than what the test allows.
    await until(lambda: queue.failures < 10**6 - 5)
    subscriber.stop()
    async with asyncio.timeout(0.5):
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
        with pytest.raises(ConfigurationError, match="runs already, or is closed; make a new one"):
            await subscriber.run()
        streams.add(EVALUATED, message(evaluated()))
        await until(lambda: settled(streams))


async def test_run_after_close_is_refused() -> None:
    """A closed subscriber says so instead of returning as if there had been nothing to do."""
    subscriber = subscriber_of(MemoryStreams(), MemoryQueue())
    await subscriber.close()
    with pytest.raises(ConfigurationError, match="or is closed; make a new one"):
        await subscriber.run()


def test_empty_group_is_refused() -> None:
    """A consumer group needs a name, and the error says what to type."""
    with pytest.raises(ConfigurationError, match="type: group='domain-events'"):
        RedisBullMQStreamSubscriber.from_url("redis://127.0.0.1", group="", subscriptions=SUBSCRIPTIONS)
