"""Which instance reads which stream: each stream has one reader, the shares are even, and few streams move."""

from collections import Counter
from random import Random
from statistics import mean

from hypothesis import given, settings
from hypothesis import strategies as st

from domainstream.stream.assignment import assign

NAMES = st.text(min_size=1, max_size=12)
STREAMS = st.lists(NAMES, unique=True, max_size=40)
INSTANCES = st.lists(NAMES, unique=True, min_size=1, max_size=12)


@settings(deadline=None)
@given(STREAMS, INSTANCES)
def test_every_stream_has_one_instance(streams: list[str], instances: list[str]) -> None:
    """No stream is left out, and it goes to an instance that is there."""
    assigned = assign(streams, instances)
    assert {*assigned} == {*streams}
    assert {*assigned.values()} <= {*instances}


@settings(deadline=None)
@given(STREAMS, INSTANCES)
def test_nobody_has_more_than_a_share(streams: list[str], instances: list[str]) -> None:
    """No instance has more streams than the mean, rounded up."""
    counts = Counter(assign(streams, instances).values())
    assert max(counts.values(), default=0) <= -(-len(streams) // len(instances))


@settings(deadline=None)
@given(STREAMS, INSTANCES, st.randoms())
def test_all_instances_find_the_same(streams: list[str], instances: list[str], random: Random) -> None:
    """The answer does not depend on the order in which streams and instances are known."""
    found = assign(streams, instances)
    random.shuffle(streams)
    random.shuffle(instances)
    assert assign(streams, instances) == found


def test_nobody_is_there() -> None:
    """Without instances no stream is assigned."""
    assert assign(["a", "b"], []) == {}


def moves(streams: int, instances: int, system: int) -> int:
    """Return how many streams another instance reads when one more comes, or the same one goes."""
    names = [f"channel-{system}:p{number}" for number in range(streams)]
    hosts = [f"host-{system}-{number}" for number in range(instances + 1)]
    before, after = assign(names, hosts[:-1]), assign(names, hosts)
    return sum(before[name] != after[name] for name in names)


def test_few_streams_move() -> None:
    """An instance that comes or goes moves about its own share and half of that, not most of the streams."""
    for streams, instances in ((12, 2), (12, 3), (64, 3), (64, 8), (256, 5)):
        share = streams / (instances + 1)
        found = [moves(streams, instances, system) for system in range(20)]
        assert mean(found) <= 1.6 * share
        assert max(found) <= 2 * share + 4


def test_control_of_few_moves() -> None:
    """Dealing the streams out in turn would move most of them."""
    names = range(64)
    assert sum(number % 3 != number % 4 for number in names) > 2 * (64 / 4) + 4
