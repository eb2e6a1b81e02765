"""What a handler is told beside the event, and what flows from it."""

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
    """So that a handler can do something else before its job has failed."""
    context = await context_in(attempt=attempt, attempts=attempts)
    assert context.is_last_attempt is last


async def test_progress_goes_to_the_queue() -> None:
    """Whatever was reported is handed on as it is."""
    reported: list[object] = []

    async def progress(value: object) -> None:
        reported.append(value)

    context = await context_in(progress=progress)
    await context.report_progress(50)
    await context.report_progress({"step": "done"})
    assert reported == [50, {"step": "done"}]


async def test_progress_outside_of_a_worker_goes_nowhere() -> None:
    """A test of a handler needs no queue."""
    await (await context_in()).report_progress(50)


async def test_events_of_a_handler_have_its_event_as_their_cause() -> None:
    """Made directly, in a task, or in a thread; nobody has to hand the ids on."""
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


async def test_a_repeat_makes_the_same_events() -> None:
    """With `follow_up` whoever comes next can tell the repeat."""
    consumer, made = EventConsumer("valuation"), list[str]()

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        made.append(follow_up(event, calculated()).id)

    for attempt in (1, 2):
        await consumer.handle(received(EVENT, attempt))
    assert made[0] == made[1]


async def test_logs_of_a_handler_carry_its_transaction(caplog: pytest.LogCaptureFixture) -> None:
    """The filter on a log handler is all that is needed."""
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        log.warning("pricing")

    with caplog.filtering(CorrelationFilter()):
        await consumer.handle(received(EVENT))
    (record,) = caplog.records
    assert vars(record)["correlation_id"] == "stay-7"
    assert vars(record)["causation_id"] == "event-1"
