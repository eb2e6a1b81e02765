"""The BullMQ queues that a queue is spread over."""

import pytest

from domainstream.queue.partitions import by_queue, partitions_problem, queues_of


def test_queue_without_partitions_is_itself() -> None:
    """Without partitions, the BullMQ queue has the queue's name."""
    assert queues_of("billing", 1) == ("billing",)


def test_partitions_are_numbered_from_zero() -> None:
    """Each partition is a BullMQ queue with the queue's name and a number."""
    assert queues_of("billing", 3) == ("billing-p0", "billing-p1", "billing-p2")


@pytest.mark.parametrize("number", [1, 8, 1024])
def test_numbers_that_a_queue_may_have(number: int) -> None:
    """A queue has from 1 to 1,024 partitions."""
    assert partitions_problem(number) is None


@pytest.mark.parametrize("number", [0, -1, 1025, True, "8", 8.0, None])
def test_other_numbers_are_refused(number: object) -> None:
    """Anything else is refused with what to use."""
    assert partitions_problem(number) == f"partitions is {number!r}; use a whole number from 1 to 1024"


@pytest.mark.parametrize(
    ("names", "queues"),
    [
        (
            ["a-p0", "a-p5", "valuation"],
            {"a": ["a-p0", "a-p5"], "valuation": ["valuation"]},
        ),
        (["{billing-p0}", "{billing-p5}"], {"billing": ["{billing-p0}", "{billing-p5}"]}),
        (["billing", "billing-p2"], {"billing": ["billing", "billing-p2"]}),
        (["billing-p2", "{valuation}"], {"billing-p2": ["billing-p2"], "{valuation}": ["{valuation}"]}),
        (["a-p1-p0", "a-p1-p1"], {"a-p1": ["a-p1-p0", "a-p1-p1"]}),
    ],
    ids=["on one server", "on a cluster", "partitions came later", "may be any queue", "odd name"],
)
def test_bullmq_queues_are_known_by_their_names(names: list[str], queues: dict[str, list[str]]) -> None:
    """BullMQ queues whose names differ by the number of a partition are one queue."""
    assert by_queue(names) == queues
