"""Time in a flow: it passes without waiting, and only as far as a test says."""

from datetime import UTC, datetime, timedelta

import pytest
from support.consuming import CALCULATED, EVALUATED, OptimizationEvaluated, PricingCalculated, calculated, evaluated
from support.event_flows import BEGIN, consumer_of, do_nothing, producer_of, subscriptions_to, valuing

from domainstream.errors import ConfigurationError
from domainstream.queue import JobSettings
from domainstream.subscriber import create_multiple_handlers, to_queue
from domainstream.testing.event_flow import Completed, Delayed, EventFlow, Failed
from domainstream.worker import EventContext, RetryLater

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


class Flaky:
    """A handler that raises what it is given, one after the other, and then handles."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)

    async def __call__(self, event: OptimizationEvaluated, context: EventContext) -> None:
        """Raise the next error, if there is any left."""
        if self._errors:
            raise self._errors.pop(0)


async def test_failed_attempt_comes_again_after_its_backoff() -> None:
    """Settling lets the pauses pass, which double; attempts are counted as in a worker."""
    async with valuing(Flaky(ValueError(), ValueError())) as flow:
        await producer_of(flow).publish(evaluated())
        await flow.settle()
    assert [(attempt.number, attempt.at - BEGIN) for attempt in flow.attempts] == [
        (1, 0 * SECOND),
        (2, 10 * SECOND),
        (3, 30 * SECOND),
    ]
    assert [type(attempt.outcome) for attempt in flow.attempts] == [Failed, Failed, Completed]
    assert [context.attempt for context in flow.contexts(OptimizationEvaluated)] == [3]
    assert flow.now == BEGIN + 30 * SECOND


async def test_retry_later_is_no_failed_attempt() -> None:
    """The job comes again after the delay, in the same try."""
    async with valuing(Flaky(RetryLater(HOUR))) as flow:
        await producer_of(flow).publish(evaluated())
        await flow.settle()
    assert [(attempt.number, attempt.outcome) for attempt in flow.attempts] == [(1, Delayed(HOUR)), (1, Completed())]
    assert flow.attempts[1].at == BEGIN + HOUR


async def test_advance_stops_short_of_what_is_due_later() -> None:
    """Exactly so much time passes as the test says, and what is due by then is done."""
    async with valuing(Flaky(RetryLater(HOUR))) as flow:
        await producer_of(flow).publish(evaluated())
        await flow.advance(HOUR - SECOND)
        assert flow.handled(OptimizationEvaluated) == []
        await flow.advance(SECOND)
        assert len(flow.handled(OptimizationEvaluated)) == 1
    assert flow.now == BEGIN + HOUR


async def test_advance_by_nothing_does_what_is_due_now() -> None:
    """No time passes."""
    async with valuing(do_nothing) as flow:
        await producer_of(flow).publish(evaluated())
        await flow.advance(timedelta())
    assert len(flow.handled(OptimizationEvaluated)) == 1
    assert flow.now == BEGIN


async def test_time_does_not_go_back() -> None:
    """A negative time is a mistake in the test."""
    with pytest.raises(ConfigurationError, match="less than zero"):
        await valuing(do_nothing).advance(-SECOND)


async def test_delay_of_the_subscription_is_kept() -> None:
    """A job begins after the delay that `to_queue` gives it."""
    consumer = consumer_of("valuation", OptimizationEvaluated, do_nothing)
    flow = EventFlow(subscriptions_to(settings=JobSettings(delay=HOUR)), consumers=[consumer], now=BEGIN)
    await producer_of(flow).publish(evaluated())
    await flow.settle()
    assert [attempt.at for attempt in flow.attempts] == [BEGIN + HOUR]


async def test_smaller_priority_begins_first() -> None:
    """Of the jobs that are due, in whatever queues, those with a smaller number come first."""
    priorities = {"archive": 2, "billing": 1}
    handlers = [to_queue(queue, job="x", settings=JobSettings(priority=one)) for queue, one in priorities.items()]
    consumers = [consumer_of(queue, PricingCalculated, do_nothing) for queue in priorities]
    flow = EventFlow(create_multiple_handlers({CALCULATED: handlers, EVALUATED: []}), consumers=consumers)
    await producer_of(flow).publish(calculated())
    await flow.settle()
    assert [attempt.job.queue for attempt in flow.attempts] == ["billing", "archive"]


async def test_entries_of_one_moment_have_growing_ids() -> None:
    """Ids hold the flow's time, and a number within it."""
    async with valuing(do_nothing) as flow:
        receipts = await producer_of(flow).publish_many([evaluated(), evaluated()])
        await flow.advance(SECOND)
        receipts.append(await producer_of(flow).publish(evaluated()))
    begin = int(BEGIN.timestamp()) * 1000
    assert [receipt.entry_id for receipt in receipts] == [f"{begin}-0", f"{begin}-1", f"{begin + 1000}-0"]


async def test_flow_begins_now_by_default() -> None:
    """Its time is then the real one, to the millisecond, and stands still."""
    before = datetime.now(UTC)
    flow = EventFlow(subscriptions_to())
    assert timedelta(milliseconds=-1) < flow.now - before <= datetime.now(UTC) - before
    assert flow.now.microsecond % 1000 == 0


async def test_delays_beyond_the_calendar_end_with_it() -> None:
    """A handler that puts its job off by a hundred years each time is reported as endless, not by an overflow."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        raise RetryLater(timedelta(days=36_500))

    async with valuing(price_stay, most_attempts=200) as flow:
        await producer_of(flow).publish(evaluated())
        with pytest.raises(AssertionError, match="After 201 attempts there are still jobs"):
            await flow.settle()
