"""Stays that are coded again: which they are, that their first event fails, and that overtaking is noticed."""

from typing import Any

import pytest
from msgspec.structs import replace
from support.consuming import OptimizationEvaluated, PricingCalculated, calculated, evaluated
from support.event_flows import consumer_of, do_nothing
from support.handling import received

from domainstream.event import BaseEvent
from domainstream.tools.demo.recoding import FailedOnPurposeError, FailsAtFirst, OrderWatch, is_recoded
from domainstream.worker import PreparedCall

AGAIN, ONCE = "optimization-stay-000102", "optimization-stay-000103"


def call_of(event: BaseEvent[Any], entry_id: str = "1-0") -> PreparedCall:
    """Return an event on its way to its handler."""
    call = consumer_of("valuation", OptimizationEvaluated, do_nothing).prepare(received(event))
    return replace(call, context=replace(call.context, entry_id=entry_id))


@pytest.mark.parametrize(
    ("aggregate_id", "expected"),
    [("stay-000002", True), ("run-stay-000102", True), ("stay-000001", False), ("opt-1", False), ("stay", False)],
)
def test_one_stay_of_a_hundred_is_coded_again(aggregate_id: str, expected: bool) -> None:
    """The aggregates that belong to a stay have its number."""
    assert is_recoded(aggregate_id) is expected


async def test_only_the_first_event_of_such_a_stay_fails() -> None:
    """Its repeat and all later events are handled, and so are those of other stays."""
    middleware, handled = FailsAtFirst(), []

    async def handle(call: PreparedCall) -> None:
        handled.append(call.event.aggregate_id)

    with pytest.raises(FailedOnPurposeError):
        await middleware(call_of(evaluated(aggregate_id=AGAIN)), handle)
    for aggregate in (AGAIN, AGAIN, ONCE):
        await middleware(call_of(evaluated(aggregate_id=aggregate)), handle)
    assert handled == [AGAIN, AGAIN, ONCE]


def test_event_that_is_handled_after_a_later_one_was_overtaken() -> None:
    """Entries say which is later; a repeat of one that was handled is none."""
    watch, events = OrderWatch(), [evaluated(aggregate_id=AGAIN) for _ in range(4)]
    handled = [(events[0], "1-0"), (events[2], "10-0"), (events[1], "9-0"), (events[0], "1-0"), (events[3], "10-1")]
    calls = [call_of(event, entry) for event, entry in handled]
    assert [watch.is_overtaken(call.event, call.context) for call in calls] == [False, False, True, False, False]


def test_events_of_other_channels_overtake_too() -> None:
    """The order is that of all events of an aggregate."""
    watch = OrderWatch()
    price = consumer_of("coding", PricingCalculated, do_nothing).prepare(
        received(replace(calculated(), aggregate_id=AGAIN))
    )
    later = replace(price.context, entry_id="2-0")
    earlier = call_of(evaluated(aggregate_id=AGAIN), "1-0")
    assert not watch.is_overtaken(price.event, later)
    assert watch.is_overtaken(earlier.event, earlier.context)


def test_stays_that_are_coded_once_are_not_watched() -> None:
    """They show nothing about order."""
    watch = OrderWatch()
    calls = [call_of(evaluated(aggregate_id=ONCE), entry) for entry in ("2-0", "1-0")]
    assert not any(watch.is_overtaken(call.event, call.context) for call in calls)
