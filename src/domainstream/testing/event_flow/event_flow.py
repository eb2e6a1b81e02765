"""For tests: a whole flow of events in memory, from publishing to handling, or the call of one handler."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeVar, overload

import msgspec

from domainstream.channel import EventPublisherChannel
from domainstream.event import BaseEvent, EventDecoder, EventEncoder, read_message
from domainstream.queue import Job, job_data, job_id
from domainstream.queue.partitions import queues_of
from domainstream.settings import MessageLimits
from domainstream.stream import DeadLetter, Delivery
from domainstream.subscriber import JobRouter, Subscriptions
from domainstream.testing.event_flow.attempts import FailedJob, FlowFailedError, JobAttempt, failed_jobs, worse_than
from domainstream.testing.event_flow.driver import FlowDriver, OtherQueues, RelayedOutbox
from domainstream.testing.event_flow.fakes import FlowClock, FlowPublisher, FlowStreams, milliseconds_of
from domainstream.validation import plain_name, positive, raise_problems
from domainstream.worker import EventConsumer, EventContext, ReceivedJob
from domainstream.worker.outcomes import Completed

EventT = TypeVar("EventT", bound=BaseEvent[Any])

DEFAULT_LIMITS: Final = MessageLimits()


class EventFlow:
    """Streams, subscriber, queues and workers of a system, without a server and without waiting.

    Usage::

        async with EventFlow(subscriptions, consumers=[coding_consumer, valuation_consumer]) as flow:
            producer = EventProducer(flow.publisher, channel_for=channel_for, source="coding")
            await producer.publish(evaluated)
            await flow.settle()
            assert flow.handled(OptimizationEvaluated) == [evaluated]

    Handlers run one after the other, in the order in which one worker would take their jobs. Time is the flow's own:
    delays, backoff and `RetryLater` take no real time, and backoff has no jitter. A queue keeps each job permanently.

    For one event loop; `settle`, `advance` and `repeat` must not overlap.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        *,
        consumers: Iterable[EventConsumer] = (),
        other_queues: OtherQueues = "fail",
        limits: MessageLimits = DEFAULT_LIMITS,
        most_attempts: int = 10_000,
        now: datetime | None = None,
    ) -> None:
        """Deliver by `subscriptions` to `consumers`; more can be added by `add_consumer`.

        A job for a queue without a consumer is an error, unless `other_queues` is "keep": then it is kept, for flows
        with one service of many. `limits` are those of the subscriber. `settle` gives up after `most_attempts`
        attempts. `now` is the aware time to begin at; None begins at the real time.

        Raises `ConfigurationError` as `add_consumer` does, and for invalid settings.
        """
        problems = [
            None
            if other_queues in ("fail", "keep")
            else f'other_queues is {other_queues!r}, expected "fail" or "keep"',
            positive("most_attempts", most_attempts, int),
            "now has no time zone; use datetime(2026, 1, 31, tzinfo=UTC)" if now and now.tzinfo is None else None,
        ]
        raise_problems("EventFlow", problems)
        self._clock = FlowClock(now)
        self.streams = FlowStreams(self._clock)
        """The streams; `flow.streams.add(channel, b"...")` adds entries that no producer would publish."""
        self.publisher = FlowPublisher(self.streams)
        """The publisher for producers of this flow."""
        self._subscriptions = subscriptions
        self._limits = limits
        router = JobRouter(subscriptions, limits)
        self._driver = FlowDriver(
            self._clock, self.streams, self.publisher, router, other_queues=other_queues, most_attempts=most_attempts
        )
        for consumer in consumers:
            self.add_consumer(consumer)

    def add_consumer(self, consumer: EventConsumer) -> None:
        """Let `consumer` handle the jobs of its queue; for consumers whose handlers publish through `publisher`.

        Raises `ConfigurationError` for a queue that has a consumer already, or that no channel is delivered to.
        """
        taken = consumer.queues[0] in self._driver.consumers
        problem = f"queue {consumer.queue} has a consumer; register the handlers of both with one" if taken else None
        queues = self._subscriptions.queues
        raise_problems("The consumer", [problem, _queue_problem(consumer.queue, queues), _conflict(consumer, queues)])
        for queue in consumer.queues:
            self._driver.consumers[queue] = consumer

    def relay(self, outbox: RelayedOutbox, database: Any) -> None:
        """Publish what `outbox` stores in `database`, as its relay does: before each step, and only what is committed.

        `database` is an engine, sync or async. Where a test rolls back the connection that its sessions share, pass
        that connection. The outbox's table must exist. Each `settle`, `advance` and `repeat` empties it.
        """
        self._driver.relays.append(lambda: outbox.take_all(database))

    @property
    def now(self) -> datetime:
        """The time of the flow, aware and in UTC."""
        return self._clock.now

    async def settle(self, *, expect_failures: bool = False) -> None:
        """Deliver and handle until nothing waits any more, however long that takes on the flow's clock.

        Failed attempts are retried until the last one, and `RetryLater` until the handler accepts the event. Jobs that
        wait for a handler are looked at again after their pauses, but no time passes for them alone: `advance` does it.
        What waits behind a failed job, as `on_failure="hold"` says, stays in `held`.

        Raises `FlowFailedError` when a job failed permanently or waits for a handler, or an entry became a dead letter,
        unless that is expected; `EndlessFlowError` after `most_attempts`; `ConfigurationError` for a job without a
        consumer.
        """
        await self._run(None, expect_failures=expect_failures)

    async def advance(self, by: timedelta, *, expect_failures: bool = False) -> None:
        """Advance the clock by exactly `by`, and do what is due by then; zero does what is due now.

        Raises what `settle` raises, and `ConfigurationError` for less than zero.
        """
        raise_problems("EventFlow.advance", [f"{by} is less than zero; time only passes" if by < timedelta() else None])
        await self._run(self._clock.after(by), expect_failures=expect_failures)

    async def repeat(self, *, expect_failures: bool = False) -> None:
        """Handle each completed job once more, as after a worker that died before it reported the outcome, and settle.

        Handlers must tolerate that: what they publish by `follow_up` does not become a second job.
        """
        self._driver.repeat()
        await self._run(None, expect_failures=expect_failures)

    def handled(self, event_class: type[EventT], *, queue: str | None = None) -> list[EventT]:
        """Return the handled events of a class, of all queues or one, in the order in which they were handled.

        An event is listed each time it was handled: once for each queue that has it, and again for a repeat.
        """
        return [event for event, _ in self._handled(event_class, queue)]

    def contexts(self, event_class: type[BaseEvent[Any]], *, queue: str | None = None) -> list[EventContext]:
        """Return the contexts of the events that `handled` returns, in the same order."""
        return [context for _, context in self._handled(event_class, queue)]

    @overload
    def published(self, what: type[EventT]) -> list[EventT]: ...

    @overload
    def published(self, what: EventPublisherChannel) -> list[dict[str, Any]]: ...

    def published(self, what: type[EventT] | EventPublisherChannel) -> list[Any]:
        """Return what was published, oldest first: the events of a class, or the JSON objects of a channel."""
        if isinstance(what, EventPublisherChannel):
            return [msgspec.json.decode(message.data) for message in self.publisher.published.get(what, ())]
        decode = EventDecoder([what], limits=self._limits).decode
        events = [decode(message.data) for message in self.publisher.published.get(plain_name(what.event_type), ())]
        return [event for event in events if isinstance(event, what)]

    def jobs(self, queue: str) -> list[Job]:
        """Return all jobs of a queue, or of one partition such as `billing-p3`, oldest first.

        Raises `ConfigurationError` for an unknown queue.
        """
        raise_problems("EventFlow.jobs", [_queue_problem(queue, self._subscriptions.queues)])
        wanted = queues_of(plain_name(queue), self._subscriptions.queues.get(queue, 1))
        return [job for job in self._driver.queue.added if job.queue in wanted]

    @property
    def attempts(self) -> list[JobAttempt]:
        """Every attempt at a job, the first one first."""
        return list(self._driver.attempts)

    @property
    def failed(self) -> list[FailedJob]:
        """The jobs that failed permanently, the first one first."""
        return failed_jobs(self._driver.attempts, self._driver.behind)

    @property
    def held(self) -> list[Job]:
        """The jobs that wait behind one that failed permanently, in queues whose jobs are handled in order."""
        return [job for failed in self.failed for job in failed.held]

    @property
    def waiting(self) -> list[JobAttempt]:
        """The jobs that wait because no handler of this build takes them: the latest look at each."""
        return self._driver.waiting

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """The entries that could not become jobs, and why."""
        return self.streams.dead

    @property
    def unheard(self) -> dict[str, int]:
        """How many events were published to each channel without subscribers."""
        subscribed = {plain_name(channel) for channel, handlers in self._subscriptions.items() if handlers}
        published = self.publisher.published.items()
        return {channel: len(messages) for channel, messages in published if channel not in subscribed}

    async def close(self) -> None:
        """Reject what is published from now on; everything stays readable. Closing twice does nothing."""
        await self.publisher.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, until: datetime | None, *, expect_failures: bool) -> None:
        before, dead_letters = self.failed, len(self.dead_letters)
        await self._driver.run(until)
        failed, dead = worse_than(before, self.failed), self.dead_letters[dead_letters:]
        if (failed or dead or self.waiting) and not expect_failures:
            raise FlowFailedError(failed, dead, [(each, self._driver.behind(each.job)) for each in self.waiting])

    def _handled(self, event_class: type[EventT], queue: str | None) -> Iterable[tuple[EventT, EventContext]]:
        queues = () if queue is None else queues_of(plain_name(queue), self._subscriptions.queues.get(queue, 1))
        for attempt in self._driver.attempts:
            wanted = isinstance(attempt.outcome, Completed) and (queue is None or attempt.job.queue in queues)
            if wanted and isinstance(attempt.event, event_class) and attempt.context is not None:
                yield attempt.event, attempt.context


def _queue_problem(queue: str, queues: Mapping[str, int]) -> str | None:
    known = any(queue in (name, *queues_of(name, partitions)) for name, partitions in queues.items())
    return None if known else f"no channel is delivered to queue {queue}, only to: {', '.join(sorted(queues))}"


def _conflict(consumer: EventConsumer, queues: Mapping[str, int]) -> str | None:
    subscribed = queues.get(consumer.queue, consumer.partitions)
    if subscribed == consumer.partitions:
        return None
    numbers = f"{subscribed} in the subscriptions and {consumer.partitions} in its consumer"
    return f"the partitions of the queue {consumer.queue} are {numbers}; use the same number"


async def handle(
    consumer: EventConsumer, event: BaseEvent[Any], *, job: str = "test", attempt: int = 1, attempts: int = 1
) -> None:
    """Give `event` to the handler that takes it, encoded and decoded on the way, and raise what the handler raises.

    Usage::

        await handle(consumer, OptimizationEvaluated(...))
        with pytest.raises(RetryLater):
            await handle(consumer, event, attempt=3, attempts=3)

    `job` is the job's name, for handlers that take only jobs of one name; `attempt` and `attempts` are those of the
    handler's context. The consumer's error handler is not called; an `EventFlow` calls it.

    Raises `HandlerNotFoundError`, which names the fix, when no handler takes the event, and `EventEncodingError`.
    """
    data = EventEncoder("test").encode(event)
    delivery = Delivery(plain_name(event.event_type), f"{milliseconds_of(event.occurred_at)}-0", data)
    text = job_data(delivery, read_message(data)).decode()
    await consumer.handle(ReceivedJob(job_id(event.id), job, attempt, text, max(attempt, attempts)))
