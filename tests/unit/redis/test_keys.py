"""Keys: a stream's companion lies in the stream's slot of a Redis Cluster, whatever prefix the users chose."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from redis.crc import key_slot

from domainstream.redis.keys import companion_key, prefix_problem, stream_key

CHANNEL = "domain_coding_optimization_evaluated"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"], exclude_characters="{}"), max_size=12)
TAGGED = st.tuples(PLAIN, PLAIN.filter(bool), PLAIN).map(lambda parts: f"{parts[0]}{{{parts[1]}}}{parts[2]}")


def slot(key: str) -> int:
    """Ask redis-py for the slot of a key."""
    return key_slot(key.encode())


def test_without_a_prefix_the_key_is_the_channels_value() -> None:
    """The stream of a channel is called as the channel is."""
    assert stream_key(CHANNEL) == CHANNEL


def test_prefix_stands_before_the_channels_value() -> None:
    """A prefix is put before the value, with nothing between."""
    assert stream_key(CHANNEL, "shop:") == f"shop:{CHANNEL}"


@pytest.mark.parametrize("prefix", ["", "shop:", "{shop}:", "a{shop}", "a:{shop}:b:", "shop-7.", "läden:"])
def test_companion_lies_in_the_slot_of_its_stream(prefix: str) -> None:
    """A script may name the stream and its companion in one call."""
    key = stream_key(CHANNEL, prefix)

    assert slot(companion_key(key, "producer:1")) == slot(key)


@given(prefix=TEXT | PLAIN | TAGGED, name=PLAIN)
def test_companion_of_any_accepted_prefix_lies_in_the_slot_of_its_stream(prefix: str, name: str) -> None:
    """Every prefix is refused, or keeps stream and companion together."""
    if prefix_problem(prefix):
        return
    key = stream_key(CHANNEL, prefix)

    assert slot(companion_key(key, name)) == slot(key)


@given(prefix=PLAIN | TAGGED)
def test_prefix_with_at_most_one_hash_tag_is_accepted(prefix: str) -> None:
    """A prefix without white space is no problem when its braces make one tag or there are none."""
    assert prefix_problem(prefix) is None


@given(tag=PLAIN.filter(bool), channels=st.lists(PLAIN, min_size=2, max_size=2))
def test_hash_tag_puts_all_streams_into_one_slot(tag: str, channels: list[str]) -> None:
    """Streams whose prefix has a tag share the slot of the tag."""
    first, second = (stream_key(channel, f"{{{tag}}}:") for channel in channels)

    assert slot(first) == slot(second)


@given(name=PLAIN, other=PLAIN)
def test_companions_of_different_names_have_different_keys(name: str, other: str) -> None:
    """Two companions of a stream never meet."""
    assume(name != other)

    assert companion_key(CHANNEL, name) != companion_key(CHANNEL, other)


def test_companion_is_not_its_stream() -> None:
    """A companion has a key of its own."""
    assert companion_key(CHANNEL, "producer:1") != CHANNEL


@pytest.mark.parametrize(
    "prefix",
    [
        "{a}{b}:",
        "{a}:{b}:",
        "{shop:",
        "shop}:",
        "}shop{",
        "{}:",
        "{{shop}}:",
        "{shop}}:",
        "my shop:",
        "shop:\n",
        "\tshop:",
    ],
)
def test_prefix_that_could_part_stream_and_companion_is_refused(prefix: str) -> None:
    """Two tags, an empty one, braces without a partner and white space are refused, showing one that is right."""
    problem = prefix_problem(prefix) or ""
    assert repr(prefix) in problem
    assert "'{shop}:'" in problem
