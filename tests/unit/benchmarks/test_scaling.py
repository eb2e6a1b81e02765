"""The simulation of large clusters: what it adds up, and what it says of one hot key."""

from collections.abc import Callable, Sequence

import pytest
from benchmarks.scaling import (
    PARTS,
    Channel,
    Costs,
    by_node,
    hot_channels_in_parts,
    hot_queues_in_parts,
    limit,
    own_queues,
    rate,
    system,
    work_of,
)

from domainstream.redis.slot_map import key_slot

COSTS = Costs(publish=1, read=2, add=3, work=4, busy=0.5)


def even(count: int) -> list[Channel]:
    """Return channels that have as many events each, and a queue each."""
    return [
        Channel(name=f"domain_case_{number * 7919}_closed", share=1 / count, queues={f"queue-{number * 104729}": 1.0})
        for number in range(count)
    ]


def test_event_costs_its_stream_and_each_of_its_queues() -> None:
    """A stream pays for publishing and reading, a queue for adding and working, both under the names on a cluster."""
    channel = Channel(name="domain_stay_closed", share=1.0, queues={"billing": 1.0, "valuation": 1.0})
    assert work_of([channel], COSTS) == {"domain_stay_closed": 3.0, "bull:{billing}:": 7.0, "bull:{valuation}:": 7.0}


@pytest.mark.parametrize("nodes", [1, 3, 64])
def test_nothing_is_lost_between_the_nodes(nodes: int) -> None:
    """The nodes together do all of the work, each what its slots have."""
    work = work_of(system(1), Costs())
    assert sum(by_node(work, nodes)) == pytest.approx(sum(work.values()))
    assert len(by_node(work, nodes)) == nodes


def test_key_is_where_its_slot_is() -> None:
    """Nodes have equal ranges of slots, in order."""
    loads = by_node({"domain_stay_closed": 5.0}, 4)
    assert loads.index(5.0) == key_slot("domain_stay_closed") // 4096


def test_one_node_carries_what_its_time_allows() -> None:
    """An event that costs 10 microseconds in all, on a node that may be half busy: 50,000 a second."""
    assert rate(even(100), 1, COSTS) == pytest.approx(50_000)


def test_even_load_grows_with_the_nodes() -> None:
    """With many equal channels, 16 nodes carry several times what 4 carry."""
    channels = even(5_000)
    assert rate(channels, 16, COSTS) > 3 * rate(channels, 4, COSTS)


@pytest.mark.parametrize("nodes", [1, 3, 12, 64])
def test_no_number_of_nodes_carries_more_than_the_limit(nodes: int) -> None:
    """The hottest key limits what any cluster carries."""
    channels = system(2)
    assert rate(channels, nodes, Costs()) <= limit(channels, Costs())[0]


def test_hot_queue_is_the_limit_until_its_jobs_have_several() -> None:
    """The hottest key is a queue; with a queue for each subscription, the same nodes carry more."""
    channels = system(0)
    assert limit(channels, Costs())[1].startswith("bull:{")
    assert limit(own_queues(channels), Costs())[0] > limit(channels, Costs())[0]
    assert rate(own_queues(channels), 64, Costs()) > rate(channels, 64, Costs())


@pytest.mark.parametrize("change", [own_queues, hot_channels_in_parts, hot_queues_in_parts])
def test_more_keys_change_no_amount_of_work(change: Callable[[Sequence[Channel]], list[Channel]]) -> None:
    """More queues, or partitions, move work, and neither add nor save any."""
    channels = system(3)
    assert sum(work_of(change(channels), Costs()).values()) == pytest.approx(sum(work_of(channels, Costs()).values()))


def test_hot_channel_has_a_key_for_each_partition() -> None:
    """The partitions of a hot channel have the same share of what the channel costs each."""
    (channel,) = hot_channels_in_parts([Channel(name="domain_stay_closed", share=1.0, queues={})])
    assert work_of([channel], COSTS) == {f"domain_stay_closed:p{number}": 3.0 / PARTS for number in range(PARTS)}


def test_hot_queue_has_a_key_for_each_part() -> None:
    """The parts of a hot queue have the same share of its jobs each; its channel stays as it is."""
    (channel,) = hot_queues_in_parts([Channel(name="domain_stay_closed", share=1.0, queues={"billing": 1.0})])
    parts = {f"bull:{{billing-p{number}}}:": 7.0 / PARTS for number in range(PARTS)}
    assert work_of([channel], COSTS) == {"domain_stay_closed": 3.0, **parts}


@pytest.mark.parametrize("skew", [0, 1])
def test_systems_are_the_same_for_a_seed(skew: float) -> None:
    """A seed always gives the same channels, which have all events together."""
    assert system(5, skew=skew) == system(5, skew=skew)
    assert sum(channel.share for channel in system(5, skew=skew)) == pytest.approx(1)
