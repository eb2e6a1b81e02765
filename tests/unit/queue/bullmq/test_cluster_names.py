"""Names of queues on a cluster: all keys of a queue lie in one slot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainstream.errors import ConfigurationError
from domainstream.queue.bullmq.scripts import KEYS_OF_QUEUE, cluster_name, queue_key
from domainstream.redis.slot_map import key_slot

TEXT = st.text("ab{}-", max_size=6)


@pytest.mark.parametrize(
    ("prefix", "queue", "expected"),
    [
        ("bull", "valuation", "{valuation}"),
        ("bull", "{valuation}", "{valuation}"),
        ("bull", "{shop}:valuation", "{shop}:valuation"),
        ("{bull}", "valuation", "valuation"),
    ],
)
def test_a_name_gets_a_hash_tag_unless_it_has_one(prefix: str, queue: str, expected: str) -> None:
    """Braces are put around a name, unless it or the prefix has a hash tag."""
    assert cluster_name(prefix, queue) == expected


@given(prefix=TEXT, queue=TEXT.filter(bool))
def test_keys_of_a_queue_lie_in_one_slot(prefix: str, queue: str) -> None:
    """Whatever braces prefix and name hold, a queue is refused or has one slot, and its name does not change twice."""
    try:
        name = cluster_name(prefix, queue)
    except ConfigurationError:
        assert "{}" in f"{prefix}:{{{queue}}}"
        return
    assert len({key_slot(queue_key(prefix, name, key)) for key in (*KEYS_OF_QUEUE, "event-1:lock")}) == 1
    assert cluster_name(prefix, name) == name


def test_prefix_in_which_no_hash_tag_counts() -> None:
    """Empty braces at the beginning of a key keep those of the queue from counting; the error says so."""
    with pytest.raises(ConfigurationError, match=r"braces in \{\}:valuation are empty"):
        cluster_name("{}", "valuation")
