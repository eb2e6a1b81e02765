"""Which channel goes to which queue: total, clear, and all mistakes told at once."""

from typing import Any

import pytest
from support.consuming import CALCULATED, EVALUATED, Channel

from domainstream.errors import SubscriptionError
from domainstream.subscriber import create_multiple_handlers, to_queue


def problems_of(mapping: Any) -> list[str]:
    """Return what is wrong with a table of channels and handlers."""
    with pytest.raises(SubscriptionError) as raised:
        create_multiple_handlers(mapping)
    return list(raised.value.problems)


def test_every_channel_has_its_handlers() -> None:
    """The result knows each channel's handlers, in the order of the enum and by member or value."""
    price = to_queue("valuation", job="price-stay")
    bill = to_queue("billing", job="bill-stay")
    subscriptions = create_multiple_handlers({CALCULATED: [], EVALUATED: [price, bill]})
    assert subscriptions.channels == tuple(subscriptions) == (EVALUATED, CALCULATED)
    assert subscriptions.handlers_of("domain_coding_optimization_evaluated") == (price, bill)
    assert subscriptions[CALCULATED] == ()


def test_handlers_read_as_queue_and_job() -> None:
    """In lists and registries a handler is named in short."""
    assert str(to_queue("valuation", job="price-stay")) == "valuation:price-stay"


def test_missing_channel_comes_with_the_line_to_type() -> None:
    """A channel that the table forgets is an error that can be pasted back."""
    name = "Channel.DOMAIN_VALUATION_PRICING_CALCULATED"
    problems = problems_of({EVALUATED: []})
    assert problems == [f"{name} is missing; where nobody listens yet, type: {name}: [],"]


def test_all_mistakes_come_at_once() -> None:
    """A stranger, a missing channel, a repeated handler and a handler that is none are told in one error."""
    price = to_queue("valuation", job="price-stay")
    problems = problems_of({EVALUATED: [price, price, "valuation"], "DOMAIN_VALUATION_PRICING_CALCULATED": []})
    assert [problem.split(";")[0] for problem in problems] == [
        "'DOMAIN_VALUATION_PRICING_CALCULATED' is not a member of Channel",
        "Channel.DOMAIN_VALUATION_PRICING_CALCULATED is missing",
        "DOMAIN_CODING_OPTIMIZATION_EVALUATED: the queue valuation has the job price-stay twice",
        "DOMAIN_CODING_OPTIMIZATION_EVALUATED: 'valuation' is no handler",
    ]
    assert problems[0].endswith("type: Channel.DOMAIN_VALUATION_PRICING_CALCULATED")


def test_plain_string_instead_of_a_member_is_refused() -> None:
    """A value that equals a member is a typing mistake, told with the member to type."""
    problems = problems_of({EVALUATED: [], CALCULATED.value + "": []})
    assert problems[0].startswith("'domain_valuation_pricing_calculated' is not a member of Channel")


def test_empty_table_is_refused() -> None:
    """Without any channel it is not even clear which enum is meant."""
    assert "no key is a channel" in problems_of({})[0]


def test_same_queue_may_have_several_jobs() -> None:
    """A queue can do two different things for one event."""
    handlers = [to_queue("valuation", job="price-stay"), to_queue("valuation", job="archive-stay")]
    assert create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}).handlers_of(EVALUATED) == tuple(handlers)


@pytest.mark.parametrize(
    ("queue", "job"), [("", "price"), ("a:b", "price"), ("valuation", ""), ("valuation", "price stay")]
)
def test_names_that_bullmq_cannot_take_are_refused(queue: str, job: str) -> None:
    """An empty name, a colon or white space is refused when the handler is made."""
    with pytest.raises(SubscriptionError, match="must not be empty and must hold neither ':' nor white space"):
        to_queue(queue, job=job)


def test_both_wrong_names_come_at_once() -> None:
    """Queue and job are both told."""
    with pytest.raises(SubscriptionError) as raised:
        to_queue("", job=":")
    assert len(raised.value.problems) == 2


def test_channels_of_the_registry_fit() -> None:
    """Subscriptions are a mapping over the whole enum, as the registry expects."""
    subscriptions = create_multiple_handlers({EVALUATED: [], CALCULATED: []})
    assert dict(subscriptions) == dict.fromkeys(Channel, ())
