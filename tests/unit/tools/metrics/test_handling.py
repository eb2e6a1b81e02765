"""How long handlers run, and how long events take to be handled."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from support.consuming import OptimizationEvaluated, evaluated
from support.handling import received
from support.metrics import Scraped

from domainstream.tools.metrics.handling import HANDLED_BOUNDS, HANDLER_BOUNDS, HandlingRecorder, Histogram
from domainstream.worker import EventConsumer, EventContext, GiveUp, RetryLater

OUTCOMES = {
    "retry_later": RetryLater(5),
    "give_up": GiveUp("no tariff"),
    "failed": ValueError("a secret"),
    "cancelled": asyncio.CancelledError(),
}


def recorded(error: BaseException | None = None) -> tuple[EventConsumer, HandlingRecorder]:
    """Return a consumer whose handler raises `error`, and what records its calls."""
    consumer, recorder = EventConsumer("valuation"), HandlingRecorder()

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        if error is not None:
            raise error

    recorder.record(consumer)
    return consumer, recorder


def count(recorder: HandlingRecorder, outcome: str) -> float | None:
    """Return how many calls ended so."""
    labels = {"queue": "valuation", "handler": "price_stay", "outcome": outcome}
    return Scraped.of(recorder.samples()).value("domainstream_handler_duration_seconds_count", **labels)


async def test_time_from_an_event_to_the_end_of_its_handler_is_counted() -> None:
    """An event of ten minutes ago that is handled now is in the bucket of up to 15 minutes, and not in one below."""
    consumer, recorder = recorded()
    await consumer.handle(received(evaluated(occurred_at=datetime.now(UTC) - timedelta(minutes=10))))
    scraped = Scraped.of(recorder.samples())
    labels = {"queue": "valuation", "event": "OptimizationEvaluated"}
    assert scraped.value("domainstream_publish_to_handled_seconds_bucket", le="300", **labels) == 0
    assert scraped.value("domainstream_publish_to_handled_seconds_bucket", le="900", **labels) == 1
    assert scraped.value("domainstream_publish_to_handled_seconds_bucket", le="+Inf", **labels) == 1
    assert 600 <= (scraped.value("domainstream_publish_to_handled_seconds_sum", **labels) or 0) < 700


async def test_event_from_a_clock_that_is_ahead_counts_as_handled_at_once() -> None:
    """A negative time would make the sum of a histogram fall, which Prometheus takes for a restart."""
    consumer, recorder = recorded()
    await consumer.handle(received(evaluated(occurred_at=datetime.now(UTC) + timedelta(minutes=1))))
    labels = {"queue": "valuation", "event": "OptimizationEvaluated"}
    assert Scraped.of(recorder.samples()).value("domainstream_publish_to_handled_seconds_sum", **labels) == 0


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_calls_are_counted_by_their_outcome(outcome: str) -> None:
    """The duration of a call is counted however it ends; only what was handled has a time until then."""
    consumer, recorder = recorded(OUTCOMES[outcome])
    with pytest.raises(type(OUTCOMES[outcome])):
        await consumer.handle(received())
    assert count(recorder, outcome) == 1
    assert "publish_to_handled" not in Scraped.of(recorder.samples()).text


async def test_labels_hold_nothing_of_the_event() -> None:
    """Names of queue, handler and class are all that labels have."""
    consumer, recorder = recorded()
    await consumer.handle(received())
    bounds = {f"{bound:g}".replace("inf", "+Inf") for bound in (*HANDLER_BOUNDS, *HANDLED_BOUNDS)}
    assert Scraped.of(recorder.samples()).labels() - bounds == {
        *("valuation", "price_stay", "OptimizationEvaluated", "done")
    }


async def test_recording_twice_counts_once() -> None:
    """A consumer that its owner and `domainstream run` both record is recorded once."""
    consumer, recorder = recorded()
    recorder.record(consumer)
    await consumer.handle(received())
    assert count(recorder, "done") == 1


def test_value_on_a_bound_is_in_the_bucket_that_ends_there() -> None:
    """A bucket has what is at most as large as its bound, as Prometheus has it."""
    histogram = Histogram((1, 2, float("inf")))
    for value in (0.5, 1, 1.5, 7):
        histogram.observe(value)
    assert histogram.distribution() == ({1: 2, 2: 3, float("inf"): 4}, 10)
