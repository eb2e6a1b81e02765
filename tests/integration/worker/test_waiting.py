"""A producer that is deployed before its consumer: the jobs that the old worker cannot handle wait for the new one."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, final

import pytest
from support.consuming import (
    EvaluatedPayload,
    EventType,
    OptimizationEvaluated,
    PricingCalculated,
    calculated,
    delivery,
    evaluated,
    running,
    until,
)
from support.working import Valuation, job_of

from domainstream.event import BaseEvent, read_message
from domainstream.queue import Job, job_data
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.worker import EventConsumer, EventContext, EventWorker, RetryLater, Wait


@final
class OptimizationEvaluatedV2(BaseEvent[EvaluatedPayload]):
    """The event as a newer build has it."""

    event_type = EventType.EVALUATED
    version = 2


def job_with(event: BaseEvent[Any], job_id: str = "event-1") -> Job:
    """Return a job that holds an event."""
    delivered = delivery(event)
    return job_of(job_id=job_id, data=job_data(delivered, read_message(delivered.data or b"")))


def worker_of(queue: Valuation, event_class: type[BaseEvent[Any]], job: str | None, **settings: Any) -> EventWorker:
    """Return a worker with one handler."""
    consumer = EventConsumer("valuation", **settings)

    @consumer.on(event_class, job=job)
    async def handle(event: BaseEvent[Any], context: EventContext) -> None:
        assert context.attempt == 1

    return EventWorker.from_url(queue.url, consumer, bull_prefix=queue.prefix)


NEWER = pytest.mark.parametrize(
    ("event", "old", "new"),
    [
        (
            lambda: OptimizationEvaluatedV2(aggregate_id="opt-1", payload=EvaluatedPayload(score=0.5)),
            (OptimizationEvaluated, None),
            (OptimizationEvaluatedV2, None),
        ),
        (calculated, (OptimizationEvaluated, None), (PricingCalculated, None)),
        (evaluated, (OptimizationEvaluated, "price-room"), (OptimizationEvaluated, "price-stay")),
    ],
    ids=["version", "type", "name"],
)
Handled = tuple[type[BaseEvent[Any]], str | None]


@NEWER
async def test_job_waits_for_the_worker_that_handles_it(
    queue: Valuation, event: Callable[[], BaseEvent[Any]], old: Handled, new: Handled
) -> None:
    """The old worker puts the job back with the reason, without using an attempt, and the new worker handles it."""
    await queue.add(job_with(event()))
    worker = worker_of(queue, *old)
    async with running(worker):
        assert await queue.ended("delayed") == ["event-1"]
        fields = await queue.jobs.fields("event-1")
        await until(lambda: worker.stats.waited == 1)
    assert "atm" not in fields
    assert b"no handler for" in fields["failedReason"] or b"update this service" in fields["failedReason"]
    async with running(worker_of(queue, *new)):
        assert await queue.ended("completed") == ["event-1"]
    assert (await queue.jobs.fields("event-1"))["atm"] == b"1"


@NEWER
async def test_control_job_fails_before_the_new_worker_is_there(
    queue: Valuation, event: Callable[[], BaseEvent[Any]], old: Handled, new: Handled
) -> None:
    """With `unhandled="fail"` the old worker fails the job, and the new worker never sees it."""
    await queue.add(job_with(event()))
    async with running(worker_of(queue, *old, unhandled="fail")):
        assert await queue.ended("failed") == ["event-1"]
    async with running(worker_of(queue, *new)):
        await queue.add(job_with(event(), "event-2"))
        assert await queue.ended("completed") == ["event-2"]
    assert await queue.jobs.ids("failed") == ["event-1"]


async def test_job_that_is_handled_in_the_end_no_longer_counts_as_waiting(queue: Valuation) -> None:
    """A job that the new worker postpones is not reported as one that no build handles."""
    await queue.add(job_with(calculated()))
    inspection = BullMQInspection(queue.jobs.redis, bull_prefix=queue.prefix)
    async with running(worker_of(queue, OptimizationEvaluated, None)):
        assert await queue.ended("delayed") == ["event-1"]
    assert [jobs.jobs for jobs in await inspection.unhandled("valuation")] == [1]
    consumer = EventConsumer("valuation")

    @consumer.on(PricingCalculated)
    async def postpone(event: PricingCalculated, context: EventContext) -> None:
        raise RetryLater(3600)

    worker = EventWorker.from_url(queue.url, consumer, bull_prefix=queue.prefix)
    async with running(worker):
        await until(lambda: worker.stats.delayed == 1)
    assert await queue.jobs.ids("delayed") == ["event-1"]
    assert await inspection.unhandled("valuation") == []


async def test_job_fails_after_the_limit(queue: Valuation, caplog: pytest.LogCaptureFixture) -> None:
    """A job that has waited for the limit fails permanently, without an attempt before."""
    await queue.add(job_with(calculated()))
    async with running(worker_of(queue, OptimizationEvaluated, None, unhandled=Wait(timedelta(milliseconds=200)))):
        assert await queue.ended("failed") == ["event-1"]
    fields = await queue.jobs.fields("event-1")
    assert fields["ats"] == b"2"
    assert int(fields["finishedOn"]) - int(fields["timestamp"]) >= 200
    assert fields["failedReason"].startswith(b"HandlerNotFoundError: queue valuation, job price-stay (event-1)")
    assert "worker.job_failed queue=valuation job=event-1 " in caplog.text
