"""Moves events from streams through queues to handlers, step by step.

Only what needs a server or real time is replaced here: the streams, the queues, and the order in which workers take
jobs. Routing, forwarding and the outcome of an attempt are the production code.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from msgspec.structs import replace

from domainstream.errors import ConfigurationError
from domainstream.lifecycle import Lifecycle
from domainstream.producer import OutgoingMessage
from domainstream.queue import Job, MemoryJobAdder, MemoryQueue
from domainstream.subscriber import JobRouter
from domainstream.subscriber.channel_hand_over import ChannelHandOver
from domainstream.subscriber.parts import HandOverParts
from domainstream.subscriber.progress import Progress
from domainstream.subscriber.stream_shares import Share
from domainstream.telemetry import Signal, emit
from domainstream.testing.event_flow.attempts import EndlessFlowError, JobAttempt
from domainstream.testing.event_flow.fakes import (
    FlowClock,
    FlowPublisher,
    FlowReader,
    FlowStreams,
    JobSchedule,
    ScheduledJob,
    milliseconds_of,
)
from domainstream.testing.event_flow.order import JobOrder
from domainstream.worker import EventConsumer, ReceivedJob
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.outcomes import Completed, Delayed, Failed, Waiting

GROUP: Final = "domain-events"

OtherQueues = Literal["fail", "keep"]


class RelayedOutbox(Protocol):
    """An outbox whose events a flow publishes: `domainstream.outbox.Outbox`, which needs an extra."""

    async def take_all(self, database: Any) -> list[OutgoingMessage]:
        """Remove what is committed, and return it in order."""
        ...


class FlowDriver:
    """Does the work of relays, subscriber and workers, as long as there is any."""

    def __init__(
        self,
        clock: FlowClock,
        streams: FlowStreams,
        publisher: FlowPublisher,
        router: JobRouter,
        *,
        other_queues: OtherQueues,
        most_attempts: int,
    ) -> None:
        """Let jobs of queues without a consumer "fail" the run, or "keep" them; end runs after `most_attempts`."""
        self.queue = MemoryQueue()
        """Every job that was added."""
        self.consumers: dict[str, EventConsumer] = {}
        """The consumer of each queue."""
        self.attempts: list[JobAttempt] = []
        """Every attempt at a job, the first one first."""
        self.relays: list[Callable[[], Awaitable[list[OutgoingMessage]]]] = []
        """Take what outboxes have stored."""
        self._clock = clock
        self._streams = streams
        self._publisher = publisher
        self._router = router
        self._other_queues = other_queues
        self._most_attempts = most_attempts
        self._adder = MemoryJobAdder(self.queue, group=GROUP)
        self._progress = Progress(GROUP)
        self._runners: dict[str, AttemptRunner] = {}
        self._order = JobOrder(router.subscriptions.on_failure)
        self._schedule = JobSchedule()
        self._unhandled = JobSchedule()
        self._scheduled: dict[str, int] = {}
        self._forwarded: dict[str, int] = {}

    async def run(self, until: datetime | None = None) -> None:
        """Do everything that is due, and advance the clock to what is due later, but not beyond `until`.

        Raises `ConfigurationError` for a job without a consumer, `EndlessFlowError` after too many attempts.
        """
        before = len(self.attempts)
        while await self._step(until):
            if len(self.attempts) - before > self._most_attempts:
                raise EndlessFlowError(self.attempts[before:])
        if until is not None:
            self._clock.pass_until(until)

    @property
    def waiting(self) -> list[JobAttempt]:
        """The latest look at each job that waits for a build that handles it."""
        latest = {(attempt.job.queue, attempt.job.id): attempt for attempt in self.attempts}
        return [attempt for attempt in latest.values() if isinstance(attempt.outcome, Waiting)]

    def repeat(self) -> None:
        """Schedule each completed job once more."""
        completed = {
            (attempt.job.queue, attempt.job.id): attempt
            for attempt in self.attempts
            if isinstance(attempt.outcome, Completed)
        }
        for attempt in completed.values():
            again = ScheduledJob(attempt.job, self._clock.now, attempt.number, is_repeat=True)
            if self._order.join(again):
                self._schedule.add(again, self._clock.now)

    def behind(self, job: Job) -> tuple[Job, ...]:
        """Return the jobs that wait until this one has ended, the first one first."""
        return self._order.behind(job)

    async def _step(self, until: datetime | None) -> bool:
        """Do the next thing; return whether there was any."""
        for take_stored in self.relays:
            if stored := await take_stored():
                await self._publisher.publish(stored)
        await self._forward()
        self._take_new_jobs()
        for schedule in (self._schedule, self._unhandled):
            if (scheduled := schedule.take(self._clock.now)) is not None:
                await self._attempt(scheduled)
                return True
        # No time passes for jobs that only another build could handle, unless the test says how much.
        schedules = [self._schedule] if until is None else [self._schedule, self._unhandled]
        due = min((schedule.next_due for schedule in schedules if schedule.next_due is not None), default=None)
        if due is None or (until is not None and due > until):
            return False
        self._clock.pass_until(due)
        return True

    async def _forward(self) -> None:
        for channel in map(str, self._router.subscriptions.channels):
            if self._streams.changes[channel] == self._forwarded.get(channel, 0):
                continue
            self._forwarded[channel] = self._streams.changes[channel]
            lifecycle, share = Lifecycle("EventFlow"), Share()
            reader = FlowReader(self._streams, group=GROUP, on_entries=share.rang.set, at_end=lifecycle.stop)
            parts = HandOverParts(reader=reader, adder=self._adder, router=self._router, progress=self._progress)
            await ChannelHandOver(channel, parts, lifecycle, share).run()

    def _take_new_jobs(self) -> None:
        for queue, jobs in self.queue.jobs.items():
            new = jobs[self._scheduled.get(queue, 0) :]
            if queue in self.consumers:
                self._scheduled[queue] = len(jobs)
                for job in self._order.as_published(queue, new):
                    added = ScheduledJob(job, self._clock.now)
                    if self._order.join(added):
                        self._schedule.add(added, self._clock.after(job.settings.delay))
            elif self._other_queues == "fail":
                problems = {
                    job.name: f"queue {queue} got the job {job.name} ({job.id}), but has no consumer; use "
                    'EventFlow(..., consumers=[...]) with its consumer, or EventFlow(..., other_queues="keep")'
                    for job in new
                }
                raise ConfigurationError("The flow cannot continue:", list(problems.values()))

    async def _attempt(self, scheduled: ScheduledJob) -> None:
        job, settings, consumer = scheduled.job, scheduled.job.settings, self.consumers[scheduled.job.queue]
        # Without jitter, so that pauses are the same each time.
        first, longest = (pause / timedelta(milliseconds=1) for pause in (settings.backoff, settings.max_backoff))
        backoff = {"type": "exponential", "delay": first, "maxDelay": longest}
        received = ReceivedJob(
            job.id,
            job.name,
            scheduled.attempt,
            job.data.decode(),
            settings.attempts,
            backoff,
            waits=scheduled.waits,
            timestamp_ms=milliseconds_of(scheduled.added_at),
            trace=job.trace,
        )
        event = context = None
        try:
            # For the record; the attempt decodes the job itself, and reports why it cannot.
            call = consumer.prepare(received)
            event, context = call.event, call.context
        except Exception as error:  # noqa: BLE001 - a payload's class is the user's code
            emit(Signal.TESTING_NO_EVENT, job=job.id, error=type(error).__name__)
        # A task of its own, as in a worker: time limits and cancellations need it, and context variables stay inside.
        runner = self._runners.setdefault(job.queue, AttemptRunner(consumer, self._clock.seconds))
        outcome = await asyncio.create_task(runner(received))
        self.attempts.append(JobAttempt(job, scheduled.attempt, self._clock.now, outcome, event, context))
        again = replace(scheduled, waits=scheduled.waits + 1)
        match outcome:
            case Delayed(delay=delay):
                self._schedule.add(again, self._clock.after(delay))
            case Waiting(pause=timedelta() as pause):
                self._unhandled.add(again, self._clock.after(pause))
            case Failed(again_in=timedelta() as pause):
                self._schedule.add(replace(scheduled, attempt=scheduled.attempt + 1), self._clock.after(pause))
            case _:
                self._begin_next(scheduled, has_failed=isinstance(outcome, Failed))

    def _begin_next(self, ended: ScheduledJob, *, has_failed: bool) -> None:
        """Schedule the job that has waited behind one that has ended, where BullMQ would."""
        scheduled = self._order.leave(ended, has_failed=has_failed)
        if scheduled is None:
            return
        settings = scheduled.job.settings
        delay = timedelta() if scheduled.is_repeat else settings.delay
        if delay or settings.priority:
            self._schedule.add(scheduled, self._clock.after(delay))
        else:
            # BullMQ puts it to the front of the list that its workers take from.
            self._schedule.add_first(scheduled)
