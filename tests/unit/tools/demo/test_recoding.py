"""Stays that are coded twice: which they are, that their first event fails, and that overtaking is noticed."""

from typing import Any

import pytest
from msgspec.structs import replace
from support.consuming import OptimizationEvaluated, evaluated
from support.event_flows import consumer_of, do_nothing
from support.handling import received

from domainstream.event import BaseEvent
from domainstream.tools.demo.recoding import FailedOnPurposeError, FailsAtFirst, OrderWatch, is_coded_twice
from domainstream.worker import PreparedCall

TWICE, ONCE = "optimization-stay-000102", "optimization-stay-000103"


def call_of(event: BaseEvent[Any], entry_id: str = "1-0") -> PreparedCall:
    """Return an event on its way to its handler."""
    call = consumer_of("valuation", OptimizationEvaluated, do_nothing).prepare(received(event))
    return replace(call, context=replace(call.context, entry_id=entry_id))


@pytest.mark.parametrize(
    ("aggregate_id", "expected"),
    [("stay-000002", True), ("run-stay-000102", True), ("stay-000001", False), ("opt-1", False), ("stay", False)],
)
def test_one_stay_of_a_hundred_is_coded_twice(aggregate_id: str, expected: bool) -> None:
    """The aggregates that belong to a stay have its number."""
    assert is_coded_twice(aggregate_id) is expected


async def test_only_the_first_event_of_such_a_stay_fails() -> None:
    """Its repeat and all later events are handled, and so are those of other stays."""
    middleware, handled = FailsAtFirst(), []

    async def handle(call: PreparedCall) -> None:
        handled.append(call.event.aggregate_id)

    with pytest.raises(FailedOnPurposeError):
        await middleware(call_of(evaluated(aggregate_id=TWICE)), handle)
    for aggregate in (TWICE, TWICE, ONCE):
        await middleware(call_of(evaluated(aggregate_id=aggregate)), handle)
    assert handled == [TWICE, TWICE, ONCE]


def test_event_that_is_handled_after_a_later_one_was_overtaken() -> None:
    """Entries say which is later; a repeat of one that was handled is none."""
    watch, events = OrderWatch(), [evaluated(aggregate_id=TWICE) for _ in range(4)]
    handled = [(events[0], "1-0"), (events[2], "10-0"), (events[1], "9-0"), (events[0], "1-0"), (events[3], "10-1")]
    calls = [call_of(event, entry) for event, entry in handled]
    assert [watch.is_overtaken(call.event, call.context) for call in calls] == [False, False, True, False, False]


def test_stays_that_are_coded_once_are_not_watched() -> None:
    """They have one event of each kind."""
    watch = OrderWatch()
    calls = [call_of(evaluated(aggregate_id=ONCE), entry) for entry in ("2-0", "1-0")]
    assert not any(watch.is_overtaken(call.event, call.context) for call in calls)
