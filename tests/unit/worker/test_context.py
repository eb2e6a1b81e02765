"""What a handler gets beside the event, and what it passes on to events and logs."""

import asyncio
import logging
from typing import Any

import pytest
from support.consuming import OptimizationEvaluated, PricingCalculated, calculated, evaluated
from support.handling import received

from domainstream import CorrelationFilter, follow_up
from domainstream.worker import EventConsumer, EventContext

log = logging.getLogger("valuation")
EVENT = evaluated(id="event-1", correlation_id="stay-7")


async def context_in(**fields: Any) -> EventContext:
    """Return the context that a handler gets for a job with these fields."""
    consumer, contexts = EventConsumer("valuation"), []

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        contexts.append(context)

    await consumer.handle(received(EVENT, **fields))
    return contexts[0]


@pytest.mark.parametrize(("attempt", "attempts", "last"), [(1, 1, True), (1, 3, False), (3, 3, True), (4, 3, True)])
async def test_last_attempt_is_known(attempt: int, attempts: int, last: bool) -> None:
    """`is_last_attempt` lets a handler act before its job has failed permanently."""
    context = await context_in(attempt=attempt, attempts=attempts)
    assert context.is_last_attempt is last


async def test_progress_goes_to_the_queue() -> None:
    """Progress reaches the queue as it was reported."""
    reported: list[object] = []

    async def progress(value: object) -> None:
        reported.append(value)

    context = await context_in(progress=progress)
    await context.report_progress(50)
    await context.report_progress({"step": "done"})
    assert reported == [50, {"step": "done"}]


async def test_progress_outside_of_a_worker_is_ignored() -> None:
    """A handler that reports progress can be tested without a queue."""
    await (await context_in()).report_progress(50)


async def test_events_of_a_handler_have_its_event_as_their_cause() -> None:
    """Events made in a handler, its tasks and its threads get the ids without passing them on explicitly."""
    consumer, made = EventConsumer("valuation"), list[PricingCalculated]()

    async def later() -> None:
        await asyncio.sleep(0)
        made.append(calculated())

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        made.append(calculated())
        await asyncio.create_task(later())
        made.append(await asyncio.to_thread(calculated))

    await consumer.handle(received(EVENT))
    assert [(event.correlation_id, event.causation_id) for event in made] == [("stay-7", "event-1")] * 3
    assert calculated().causation_id is None


async def test_repeat_makes_the_same_events() -> None:
    """`follow_up` gives an event the same id when its handler runs again."""
    consumer, made = EventConsumer("valuation"), list[str]()

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        made.append(follow_up(event, calculated()).id)

    for attempt in (1, 2):
        await consumer.handle(received(EVENT, attempt))
    assert made[0] == made[1]


async def test_logs_of_a_handler_carry_its_transaction(caplog: pytest.LogCaptureFixture) -> None:
    """A `CorrelationFilter` on a log handler is enough to log the ids in every handler."""
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        log.warning("pricing")

    with caplog.filtering(CorrelationFilter()):
        await consumer.handle(received(EVENT))
    (record,) = caplog.records
    assert vars(record)["correlation_id"] == "stay-7"
    assert vars(record)["causation_id"] == "event-1"
