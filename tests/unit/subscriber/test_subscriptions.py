"""Which queues subscribe to which channel: the table is total, and all its problems are reported at once."""

from typing import Any

import pytest
from support.consuming import CALCULATED, EVALUATED, Channel

from domainstream.errors import SubscriptionError
from domainstream.queue import JobSettings
from domainstream.subscriber import create_multiple_handlers, to_queue


def problems_of(mapping: Any) -> list[str]:
    """Return what is wrong with a table of channels and handlers."""
    with pytest.raises(SubscriptionError) as raised:
        create_multiple_handlers(mapping)
    return list(raised.value.problems)


def test_every_channel_has_its_handlers() -> None:
    """The result has each channel's handlers, in the order of the enum, by member or by value."""
    price = to_queue("valuation", job="price-stay")
    bill = to_queue("billing", job="bill-stay")
    subscriptions = create_multiple_handlers({CALCULATED: [], EVALUATED: [price, bill]})
    assert subscriptions.channels == tuple(subscriptions) == (EVALUATED, CALCULATED)
    assert subscriptions.handlers_of("domain_coding_optimization_evaluated") == (price, bill)
    assert subscriptions[CALCULATED] == ()


def test_handlers_read_as_queue_and_job() -> None:
    """In lists and registries a handler is shown in its short form."""
    assert str(to_queue("valuation", job="price-stay")) == "valuation:price-stay"


def test_missing_channel_is_reported_with_the_line_to_add() -> None:
    """A channel that the table forgets is an error with a line that can be pasted into it."""
    name = "Channel.DOMAIN_VALUATION_PRICING_CALCULATED"
    problems = problems_of({EVALUATED: []})
    assert problems == [f"{name} is missing; if it has no subscribers yet, add {name}: [],"]


def test_all_problems_are_reported_at_once() -> None:
    """One error names a foreign key, a missing channel, a repeated handler and a value that is not a handler."""
    price = to_queue("valuation", job="price-stay")
    problems = problems_of({EVALUATED: [price, price, "valuation"], "domain_unheard_of": []})
    assert [problem.split(";")[0] for problem in problems] == [
        "'domain_unheard_of' is not a member of Channel",
        "Channel.DOMAIN_VALUATION_PRICING_CALCULATED is missing",
        "DOMAIN_CODING_OPTIMIZATION_EVALUATED: the queue valuation has the job price-stay twice",
        "DOMAIN_CODING_OPTIMIZATION_EVALUATED: 'valuation' is not a handler",
    ]


@pytest.mark.parametrize("key", ["domain_valuation_pricing_calculated", "DOMAIN_VALUATION_PRICING_CALCULATED"])
def test_plain_string_instead_of_a_member_is_reported_once(key: str) -> None:
    """A value or name of a member is reported with the member to use, and not as missing too."""
    (problem,) = problems_of({EVALUATED: [], key: []})
    assert problem == f"{key!r} is not a member of Channel; use Channel.DOMAIN_VALUATION_PRICING_CALCULATED"


def test_handler_outside_of_a_list_is_reported_with_the_list_to_use() -> None:
    """A channel with one handler needs a list, too."""
    (problem,) = problems_of({EVALUATED: to_queue("valuation", job="price-stay"), CALCULATED: []})
    assert problem.endswith("the handler must be in a list; use [to_queue('valuation', job='price-stay')]")


@pytest.mark.parametrize("value", ["valuation", None, 7])
def test_value_that_is_not_a_list_is_rejected(value: object) -> None:
    """A value that is not a list is reported once, by its type."""
    (problem,) = problems_of({EVALUATED: value, CALCULATED: []})
    assert f"is of type {type(value).__name__}, not a list; use [to_queue(" in problem


def test_empty_table_is_rejected() -> None:
    """Without any channel it is not known which enum is meant."""
    assert "no key is a channel" in problems_of({})[0]


def test_queue_may_have_several_jobs() -> None:
    """A queue can do two different things for one event."""
    handlers = [to_queue("valuation", job="price-stay"), to_queue("valuation", job="archive-stay")]
    assert create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}).handlers_of(EVALUATED) == tuple(handlers)


@pytest.mark.parametrize(
    ("queue", "job"), [("", "price"), ("a:b", "price"), ("valuation", ""), ("valuation", "price stay")]
)
def test_names_that_bullmq_does_not_allow_are_rejected(queue: str, job: str) -> None:
    """An empty name, a colon or whitespace is rejected when the handler is made."""
    with pytest.raises(SubscriptionError, match="must be non-empty and contain neither ':' nor whitespace"):
        to_queue(queue, job=job)


def test_both_wrong_names_are_reported_at_once() -> None:
    """One error names both the queue and the job."""
    with pytest.raises(SubscriptionError) as raised:
        to_queue("", job=":")
    assert len(raised.value.problems) == 2


def test_channels_of_the_registry_fit() -> None:
    """Subscriptions are a mapping over the whole enum, as the registry expects."""
    subscriptions = create_multiple_handlers({EVALUATED: [], CALCULATED: []})
    assert dict(subscriptions) == dict.fromkeys(Channel, ())


def test_digest_tells_which_tables_add_the_same_jobs() -> None:
    """Order and settings do not change the digest of a table; another queue, job or channel does."""
    price, bill = to_queue("valuation", job="price-stay"), to_queue("billing", job="bill-stay")
    often = to_queue("valuation", job="price-stay", settings=JobSettings(attempts=99))
    digest = create_multiple_handlers({EVALUATED: [price, bill], CALCULATED: []}).digest
    assert create_multiple_handlers({CALCULATED: [], EVALUATED: [bill, often]}).digest == digest
    assert create_multiple_handlers({EVALUATED: [price], CALCULATED: []}).digest != digest
    assert create_multiple_handlers({EVALUATED: [price], CALCULATED: [bill]}).digest != digest


def test_digest_tells_numbers_of_partitions_apart() -> None:
    """Tables that spread a queue over different BullMQ queues add their jobs to different ones."""

    def digest(partitions: int) -> str:
        bill = to_queue("billing", job="bill", partitions=partitions)
        return create_multiple_handlers({EVALUATED: [bill], CALCULATED: []}).digest

    plain = create_multiple_handlers({EVALUATED: [to_queue("billing", job="bill")], CALCULATED: []}).digest
    assert plain == digest(1)
    assert len({digest(1), digest(4), digest(8)}) == 3


def test_queue_without_partitions_is_one_bullmq_queue() -> None:
    """What a handler says of its queue without partitions is what it said before there were any."""
    assert to_queue("billing", job="bill") == to_queue("billing", job="bill", partitions=1)
    assert to_queue("billing", job="bill").queues == ("billing",)
    assert to_queue("billing", job="bill", partitions=2).queues == ("billing-p0", "billing-p1")


@pytest.mark.parametrize("partitions", [0, -8, 1025, True, "8"])
def test_number_of_partitions_is_checked(partitions: Any) -> None:
    """A queue has from 1 to 1,024 partitions."""
    with pytest.raises(SubscriptionError, match="use a whole number from 1 to 1024"):
        to_queue("billing", job="bill", partitions=partitions)


def test_subscriptions_of_a_queue_agree_on_its_partitions() -> None:
    """A queue has one number of partitions; two are reported with both channels."""
    (problem,) = problems_of(
        {
            EVALUATED: [to_queue("billing", job="bill", partitions=8)],
            CALCULATED: [to_queue("billing", job="book"), to_queue("valuation", job="book")],
        }
    )
    assert problem == (
        "the partitions of the queue billing are 8 on DOMAIN_CODING_OPTIMIZATION_EVALUATED and 1 on "
        "DOMAIN_VALUATION_PRICING_CALCULATED; use the same number everywhere"
    )


def test_queue_with_the_name_of_a_partition_is_refused() -> None:
    """Two queues cannot share a BullMQ queue: its workers would get each other's jobs."""
    mapping = {
        EVALUATED: [to_queue("billing", job="bill", partitions=8)],
        CALCULATED: [to_queue("billing-p7", job="book"), to_queue("billing-p8", job="book")],
    }
    assert problems_of(mapping) == [
        "DOMAIN_VALUATION_PRICING_CALCULATED: the queue billing-p7 is a partition of billing; give it another name"
    ]


def test_queues_are_known_with_their_partitions() -> None:
    """The table says which queues there are, and over how many BullMQ queues each is spread."""
    bill, price = to_queue("billing", job="bill", partitions=8), to_queue("valuation", job="price")
    subscriptions = create_multiple_handlers({EVALUATED: [bill, price], CALCULATED: [bill]})
    assert subscriptions.queues == {"billing": 8, "valuation": 1}
