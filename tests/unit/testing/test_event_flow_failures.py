"""What goes wrong in a flow fails the test, unless the test means it."""

from datetime import timedelta

import pytest
from support.consuming import (
    CALCULATED,
    EVALUATED,
    OptimizationEvaluated,
    PricingCalculated,
    calculated,
    evaluated,
)
from support.event_flows import BEGIN, channel_for, consumer_of, do_nothing, producer_of, subscriptions_to, valuing

from domainstream import EventProducer, MessageLimits
from domainstream.testing.event_flow import Completed, EventFlow, FlowFailedError
from domainstream.worker import Done, ErrorHandler, EventConsumer, EventContext, GiveUp, Wait


async def fail(event: OptimizationEvaluated, context: EventContext) -> None:
    """Fail each time."""
    raise ValueError("no such ward")


async def give_up(event: OptimizationEvaluated, context: EventContext) -> None:
    """Give up at once."""
    raise GiveUp("no such stay")


async def test_job_that_fails_for_good_fails_the_test() -> None:
    """The failure names queue, job, event and reason, and shows the handler's own trace."""
    async with valuing(fail) as flow:
        await producer_of(flow).publish(evaluated())
        with pytest.raises(FlowFailedError) as failure:
            await flow.settle()
    text = str(failure.value)
    assert "queue valuation, job price-stay of OptimizationEvaluated (event-" in text
    assert "attempt 3 of 3: ValueError: no such ward" in text
    assert 'raise ValueError("no such ward")' in text
    assert "settle(expect_failures=True)" in text
    assert list(failure.value.failed) == flow.failed


async def test_failure_that_is_expected_can_be_looked_at() -> None:
    """The job, its last attempt, the reason and the trace are there."""
    async with valuing(give_up) as flow:
        await producer_of(flow).publish(evaluated())
        await flow.settle(expect_failures=True)
    [failed] = flow.failed
    assert failed.reason == "no such stay"
    assert failed.last.number == 1
    assert "in give_up" in failed.stack
    assert flow.handled(OptimizationEvaluated) == []


async def test_failure_is_reported_once() -> None:
    """Settling again speaks only of what failed since."""
    async with valuing(give_up) as flow:
        await producer_of(flow).publish(evaluated())
        await flow.settle(expect_failures=True)
        await flow.settle()
        assert len(flow.failed) == 1


async def test_dead_letter_is_reported_once() -> None:
    """Settling again speaks only of what was buried since."""
    async with valuing(do_nothing) as flow:
        flow.streams.add(EVALUATED, b"no JSON")
        await flow.settle(expect_failures=True)
        await flow.settle()
        assert len(flow.dead_letters) == 1


async def test_failed_job_is_not_repeated() -> None:
    """It has ended, as one that its worker could report."""
    async with valuing(give_up) as flow:
        await producer_of(flow).publish(evaluated())
        await flow.settle(expect_failures=True)
        await flow.repeat()
        assert len(flow.attempts) == 1


async def test_limits_are_those_of_the_subscriber() -> None:
    """A message beyond them becomes a dead letter, and one within them is handled, however large."""
    event = evaluated(aggregate_id="x" * 300_000)
    for limits, handled in ((MessageLimits(), 0), (MessageLimits(max_bytes=400_000), 1)):
        consumer = consumer_of("valuation", OptimizationEvaluated, do_nothing, limits=limits)
        flow = EventFlow(subscriptions_to(), consumers=[consumer], limits=limits)
        producer = EventProducer(
            flow.publisher, channel_for=channel_for, source="coding", limits=MessageLimits(max_bytes=400_000)
        )
        await producer.publish(event)
        await flow.settle(expect_failures=True)
        assert len(flow.handled(OptimizationEvaluated)) == handled
        assert len(flow.dead_letters) == 1 - handled


async def test_what_was_published_can_be_read_within_the_limits() -> None:
    """A test looks at large events as its subscriber does."""
    event, limits = evaluated(aggregate_id="x" * 300_000), MessageLimits(max_bytes=400_000)
    flow = EventFlow(subscriptions_to(), limits=limits)
    await EventProducer(flow.publisher, channel_for=channel_for, source="coding", limits=limits).publish(event)
    assert flow.published(OptimizationEvaluated) == [event]


async def test_one_failure_keeps_nothing_else_from_being_handled() -> None:
    """The flow is at rest when it reports."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        if event.aggregate_id == "bad":
            raise GiveUp("bad")

    async with valuing(price_stay) as flow:
        await producer_of(flow).publish_many([evaluated(aggregate_id="bad"), evaluated(aggregate_id="good")])
        with pytest.raises(FlowFailedError, match="Jobs that failed permanently: 1"):
            await flow.settle()
    assert [event.aggregate_id for event in flow.handled(OptimizationEvaluated)] == ["good"]


async def test_error_handler_decides_as_in_a_worker() -> None:
    """What it calls done counts as handled."""
    errors = ErrorHandler({ValueError: Done()})
    consumer = consumer_of("valuation", OptimizationEvaluated, fail, errors=errors)
    flow = EventFlow(subscriptions_to(), consumers=[consumer])
    await producer_of(flow).publish(evaluated())
    await flow.settle()
    assert len(flow.handled(OptimizationEvaluated)) == 1


async def test_job_that_no_handler_takes_fails_the_test() -> None:
    """The failure says which handler to write, and no time was spent on waiting for it."""
    flow = EventFlow(subscriptions_to(), consumers=[EventConsumer("valuation")], now=BEGIN)
    await producer_of(flow).publish(evaluated())
    with pytest.raises(
        FlowFailedError, match=r"no handler for event type domain_coding.* Use @consumer\.on"
    ) as failure:
        await flow.settle()
    assert [attempt.job.name for attempt in failure.value.waiting] == ["price-stay"]
    assert flow.now == BEGIN
    assert flow.failed == []


async def test_job_waits_for_its_handler_as_in_a_worker() -> None:
    """A handler that is registered later gets the event in its first attempt."""
    consumer = EventConsumer("valuation")
    flow = EventFlow(subscriptions_to(), consumers=[consumer])
    await producer_of(flow).publish(evaluated())
    await flow.advance(timedelta(days=6), expect_failures=True)
    assert len(flow.waiting) == 1
    consumer.on(OptimizationEvaluated)(do_nothing)
    await flow.advance(timedelta(minutes=10))
    assert [context.attempt for context in flow.contexts(OptimizationEvaluated)] == [1]
    assert flow.waiting == []


async def test_job_fails_after_waiting_as_in_a_worker() -> None:
    """A job that waits for a handler fails after the limit of the consumer."""
    flow = EventFlow(subscriptions_to(), consumers=[EventConsumer("valuation", unhandled=Wait(timedelta(hours=1)))])
    await producer_of(flow).publish(evaluated())
    await flow.advance(timedelta(hours=1) - timedelta(milliseconds=1), expect_failures=True)
    assert flow.failed == []
    await flow.advance(timedelta(milliseconds=1), expect_failures=True)
    assert [job.reason.partition(":")[0] for job in flow.failed] == ["HandlerNotFoundError"]
    assert flow.waiting == []


async def test_waiting_jobs_of_one_kind_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """The flow logs waiting jobs as a worker does, on its own clock: one line for all of a kind, and a count."""
    flow = EventFlow(subscriptions_to(), consumers=[EventConsumer("valuation")], now=BEGIN)
    await producer_of(flow).publish_many([evaluated(), evaluated()])
    await flow.advance(timedelta(seconds=59), expect_failures=True)
    assert caplog.text.count("worker.job_waits") == 1
    await flow.advance(timedelta(minutes=1), expect_failures=True)
    assert caplog.text.count("worker.job_waits") == 2
    assert "others=11" in caplog.text


async def test_job_that_no_handler_takes_may_fail_at_once() -> None:
    """A consumer with `unhandled="fail"` fails the job in the flow too."""
    flow = EventFlow(subscriptions_to(), consumers=[EventConsumer("valuation", unhandled="fail")])
    await producer_of(flow).publish(evaluated())
    await flow.settle(expect_failures=True)
    assert len(flow.failed) == 1


async def test_job_that_is_skipped_was_not_handled() -> None:
    """It is completed, and stands among the attempts without an event."""
    consumer = consumer_of("valuation", PricingCalculated, do_nothing, unhandled="skip")
    flow = EventFlow(subscriptions_to(), consumers=[consumer])
    await producer_of(flow).publish(evaluated())
    await flow.settle()
    assert [(attempt.event, attempt.outcome) for attempt in flow.attempts] == [(None, Completed())]
    assert flow.handled(OptimizationEvaluated) == []


async def test_entry_that_cannot_be_read_fails_the_test() -> None:
    """It becomes a dead letter, and the events around it are handled."""
    async with valuing(do_nothing) as flow:
        await producer_of(flow).publish(evaluated())
        entry_id = flow.streams.add(EVALUATED, b"no JSON")
        await producer_of(flow).publish(evaluated())
        with pytest.raises(FlowFailedError, match=f"channel {EVALUATED}, entry {entry_id}: HostileJsonError"):
            await flow.settle()
    assert [letter.delivery.entry_id for letter in flow.dead_letters] == [entry_id]
    assert len(flow.handled(OptimizationEvaluated)) == len(flow.published(EVALUATED)) == 2


async def test_nothing_of_a_channel_without_listeners_is_read() -> None:
    """As in a subscriber: what nobody listens to may be anything."""
    flow = EventFlow(subscriptions_to())
    flow.streams.add(CALCULATED, b"no JSON")
    await producer_of(flow).publish(calculated())
    await flow.settle()
    assert flow.dead_letters == []
