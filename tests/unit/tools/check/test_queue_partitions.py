"""Partitions of queues: what `check` reads of them, and that subscriptions and consumer must agree."""

from pathlib import Path

import pytest
from support.checking import CONSUMER, SUBSCRIPTIONS, small_system, write_system

from domainstream.tools.check import check_project


def system(subscribed: str, consumed: str) -> dict[str, str]:
    """Return the small system with more arguments of `to_queue` and `EventConsumer`."""
    files = small_system()
    files[SUBSCRIPTIONS] = files[SUBSCRIPTIONS].replace('job="record-stay"', f'job="record-stay"{subscribed}')
    files[CONSUMER] = files[CONSUMER].replace('EventConsumer("coding"', f'EventConsumer("coding"{consumed}')
    return files


def found(root: Path) -> list[tuple[str, str]]:
    """Return the codes and messages of what is wrong."""
    return [(finding.code, finding.message) for finding in check_project(root)]


@pytest.mark.parametrize(
    ("subscribed", "consumed"),
    [
        (", partitions=8", ", partitions=8"),
        (", partitions=1", ""),
        (", partitions=0x8", ", partitions=8"),
        (", partitions=count()", ", partitions=8"),
        (", partitions=8", ", **options"),
    ],
    ids=["equal", "one is none", "another literal", "unknown subscription", "unknown consumer"],
)
def test_what_agrees_or_cannot_be_read_is_not_reported(tmp_path: Path, subscribed: str, consumed: str) -> None:
    """Equal numbers are right, and what only running the code gives is not guessed."""
    assert found(write_system(tmp_path, system(subscribed, consumed))) == []


@pytest.mark.parametrize(
    ("subscribed", "consumed", "numbers"),
    [(8, 4, "partitions=8 in its subscriptions and 4"), (8, 1, "partitions=8 in its subscriptions and 1")],
)
def test_consumer_with_another_number_is_reported(tmp_path: Path, subscribed: int, consumed: int, numbers: str) -> None:
    """A worker that works other partitions than those that get jobs is found before it is deployed."""
    write_system(tmp_path, system(f", partitions={subscribed}", f", partitions={consumed}"))
    assert found(tmp_path) == [
        ("DS410", f"the queue coding has {numbers} in its consumer, so jobs go where no worker is")
    ]


def test_two_subscriptions_with_two_numbers_are_reported(tmp_path: Path) -> None:
    """What `create_multiple_handlers` would refuse is found without importing it."""
    files = system(", partitions=8", ", partitions=8")
    second = 'to_queue("coding", job="count-stay"),'
    files[SUBSCRIPTIONS] = files[SUBSCRIPTIONS].replace('[to_queue("coding"', f'[{second} to_queue("coding"')
    codes = [code for code, _ in found(write_system(tmp_path, files))]
    assert "DS410" in codes
