"""Partitions of channels: how many there are, and which one an event goes to."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.channels import define, problems_of

from domainstream.channel.partitions import parse_target, streams_of, target_of, targets_of

NAME = "DOMAIN_CODING_STAY_CREATED"


def test_channel_has_one_partition_by_default() -> None:
    """A channel of which the class says nothing is one stream."""
    (channel,) = define(NAME)
    assert channel.partitions == 1


def test_class_says_how_many() -> None:
    """Each channel has as many partitions as the class gives it."""
    first, second = define(NAME, "DOMAIN_CODING_STAY_CLOSED", partitions={NAME: 8})
    assert (first.partitions, second.partitions) == (8, 1)


def test_unknown_channel_is_refused() -> None:
    """A misspelt name is found when the class is made."""
    (problem,) = problems_of(NAME, partitions={"DOMAIN_CODING_STAY_CRATED": 8})
    assert problem == "partitions: 'DOMAIN_CODING_STAY_CRATED' is not a channel of the class; use the name of a member"


@pytest.mark.parametrize("number", [0, -1, 1025, True, "8", 2.0, None])
def test_wrong_number_is_refused(number: Any) -> None:
    """Only whole numbers from 1 to 1,024 are taken."""
    (problem,) = problems_of(NAME, partitions={NAME: number})
    assert problem == f"partitions: {NAME} has {number!r} partitions; use a whole number from 1 to 1024"


def test_most_partitions_are_taken() -> None:
    """A channel may have 1,024."""
    (channel,) = define(NAME, partitions={NAME: 1024})
    assert channel.partitions == 1024


def test_channel_without_partitions_is_its_own_target() -> None:
    """Nothing changes for a channel that is one stream."""
    assert streams_of("orders", 1) == targets_of("orders", 1) == ("orders",)
    assert parse_target("orders") == ("orders", "orders", 1)


@given(st.from_regex(r"[a-z:/p0-9]+", fullmatch=True), st.integers(2, 1024), st.data())
def test_target_says_channel_stream_and_number(channel: str, partitions: int, data: st.DataObject) -> None:
    """What a target was made of can be read from it, whatever the channel's name."""
    number = data.draw(st.integers(0, partitions - 1))
    target = targets_of(channel, partitions)[number]
    assert parse_target(target) == (channel, f"{channel}:p{number}", partitions)
    assert parse_target(target).stream == streams_of(channel, partitions)[number]


@given(st.text(alphabet=st.characters(), min_size=1), st.integers(2, 1024))
def test_key_has_one_target(key: str, partitions: int) -> None:
    """The events with a key have the same target each time, whatever characters the key has."""
    targets = targets_of("orders", partitions)
    assert target_of(targets, key) == target_of(targets, key) in targets


def test_key_stays_in_its_partition() -> None:
    """The partition of a key never changes: another one would break the order of what is in the streams."""
    targets = targets_of("orders", 8)
    golden = {
        "stay-1": "orders:p7/8",
        "stay-2": "orders:p5/8",
        "Bär": "orders:p6/8",
        "0195f0e2-7c1a-7000-8000-000000000000": "orders:p2/8",
    }
    assert {key: target_of(targets, key) for key in golden} == golden


def test_keys_are_spread_evenly() -> None:
    """No partition gets much more than its share of numbered keys."""
    counts = Counter(target_of(targets_of("orders", 16), f"stay-{number}") for number in range(16_000))
    assert len(counts) == 16
    assert max(counts.values()) < 1_200
