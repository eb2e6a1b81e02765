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
        (["domain_order_placed", "domain_offer_made"], ["domain_offer_made", "domain_order_placed"]),
        (["ab", "abcd", "abcde"], ["ab"]),
        ([f"offer_{n}" for n in range(5)] + [f"order_{n}" for n in range(5)], ["offer_", "order_"]),
        ([f"{letter}lpha" for letter in "abcdefghi"], [f"{letter}lpha" for letter in "abcdefghi"]),
    ],
    ids=["one key", "few keys", "one begins with another", "many keys", "many that differ at once"],
)
def test_many_keys_share_prefixes(keys: list[str], prefixes: list[str]) -> None:
    """A prefix costs the server time at every write, and a wide one costs time at every write of others."""
    assert prefixes_of(keys) == prefixes


def test_five_hundred_channels_need_one_prefix() -> None:
    """All channels are named alike."""
    assert prefixes_of([f"domain_{index}_changed" for index in range(500)]) == ["domain_"]
