"""The prefixes of watched keys cover them all, are few, and are ones that a server accepts together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainstream.redis.key_changes import prefixes_of

KEYS = st.lists(st.text("ab:{}_", min_size=1, max_size=8), min_size=1, max_size=30, unique=True)


@given(KEYS)
def test_every_key_begins_with_exactly_one_prefix(keys: list[str]) -> None:
    """No key is missed, and no prefix begins with another, which a server would refuse."""
    prefixes = prefixes_of(keys)

    assert all(sum(key.startswith(prefix) for prefix in prefixes) == 1 for key in keys)
    assert not any(one != other and one.startswith(other) for one in prefixes for other in prefixes)


@pytest.mark.parametrize(
    ("keys", "prefixes"),
    [
        (["domain_order_placed"], ["domain_order_placed"]),
        (["domain_order_placed", "domain_offer_made"], ["domain_o"]),
        (["shop:domain_a", "shop:domain_b", "domain_c"], ["domain_c", "shop:domain_"]),
        (["ab", "abcd", "abcde"], ["ab"]),
        ([f"{letter}lpha" for letter in "abcde"], ["alpha", "blpha", "clpha", "dlpha", "elpha"]),
        ([f"a{letter}pha" for letter in "abcde"], ["a"]),
    ],
    ids=["one key", "alike", "two kinds", "one begins with another", "different at once", "more than enough kinds"],
)
def test_keys_that_look_alike_share_a_prefix(keys: list[str], prefixes: list[str]) -> None:
    """A prefix costs the server time at every write, a key too many costs little."""
    assert prefixes_of(keys) == prefixes


def test_five_hundred_channels_need_one_prefix() -> None:
    """All channels are named alike."""
    assert prefixes_of([f"domain_{index}_changed" for index in range(500)]) == ["domain_"]
