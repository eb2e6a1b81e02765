"""How many events a second a cluster of up to 64 nodes carries: a simulation from what one event costs.

It places streams and queues by their slots, as a cluster does, and adds up the processor time of each node: a stream
costs its node the publishing and the reading of each event, a queue costs its node the adding and the working off of
each job. The busiest node is the limit. Networks, and the processes of the services, are not simulated. Run it:
`python -m benchmarks.scaling`.
"""

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from operator import itemgetter

from domainstream.channel.partitions import streams_of
from domainstream.queue.bullmq.scripts import cluster_name, queue_key
from domainstream.redis.slot_map import SLOTS, key_slot

NODES = (1, 3, 6, 12, 24, 48, 64)
SEEDS = range(9)
CHANNELS, QUEUES = 300, 80
HOT, PARTS = 8, 8
"""So many of the hottest channels, or queues, are spread over so many keys."""

_SERVICES = ("billing", "booking", "coding", "claims", "reporting", "screenflow", "staffing", "valuation")
_AGGREGATES = ("account", "bed", "case", "document", "invoice", "note", "patient", "rate", "shift", "stay")
_EVENTS = ("approved", "archived", "calculated", "closed", "created", "evaluated", "rejected", "submitted")


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Microseconds of a primary's processor time, with one replica: what `benchmarks.costs` measured."""

    publish: float = 7.3
    """For an event, published in a batch."""

    read: float = 13.0
    """For an event, read and acknowledged by a group."""

    add: float = 45.0
    """For a job that is added to its queue."""

    work: float = 107.0
    """For a job that is taken and completed."""

    busy: float = 0.6
    """The share of a node's time that may be used; the rest is for peaks."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel, and who gets its events."""

    name: str
    """Its value."""

    share: float
    """Its share of all events."""

    queues: Mapping[str, float]
    """The queues that subscribe to it, each with the share of its events that it gets."""

    partitions: int = 1
    """Over how many streams it is spread; all get the same share of its events."""


def system(seed: int, *, skew: float = 1.0) -> list[Channel]:
    """Return the channels of a system, each with one or two queues.

    With a `skew` of 1, few channels have most events: the second half of the first, the third a third, and so on. With
    0, all have as many.
    """
    chance = random.Random(seed)
    names = ["_".join(("domain", *parts)) for parts in product(_SERVICES, _AGGREGATES, _EVENTS)]
    queues = [f"{service}-{number}" for service in _SERVICES for number in range(QUEUES // len(_SERVICES))]
    weights = [rank**-skew for rank in range(1, CHANNELS + 1)]
    return [
        Channel(
            name=name,
            share=weight / sum(weights),
            queues=dict.fromkeys(chance.sample(queues, chance.choice((1, 1, 2))), 1.0),
        )
        for name, weight in zip(chance.sample(names, CHANNELS), weights, strict=True)
    ]


def own_queues(channels: Sequence[Channel]) -> list[Channel]:
    """Give each subscription a queue of its own, instead of one for all that a consumer subscribes to."""
    return [
        replace(one, queues={f"{queue}-{one.name}": share for queue, share in one.queues.items()}) for one in channels
    ]


def hot_channels_in_parts(channels: Sequence[Channel]) -> list[Channel]:
    """Spread the hottest channels over partitions."""
    hot = {channel.name for channel in sorted(channels, key=lambda one: one.share)[-HOT:]}
    return [replace(one, partitions=PARTS) if one.name in hot else one for one in channels]


def hot_queues_in_parts(channels: Sequence[Channel]) -> list[Channel]:
    """Spread the hottest queues over several, as `valuation-p0` to `valuation-p7`, with the same share of the jobs."""
    jobs: defaultdict[str, float] = defaultdict(float)
    for channel in channels:
        for queue, share in channel.queues.items():
            jobs[queue] += channel.share * share
    hot = {*sorted(jobs, key=jobs.__getitem__)[-HOT:]}
    return [
        replace(
            channel,
            queues={
                name: share / (PARTS if queue in hot else 1)
                for queue, share in channel.queues.items()
                for name in ([f"{queue}-p{part}" for part in range(PARTS)] if queue in hot else [queue])
            },
        )
        for channel in channels
    ]


def work_of(channels: Sequence[Channel], costs: Costs) -> dict[str, float]:
    """Return what each stream and queue costs its node for one event of the whole system, in microseconds."""
    work: defaultdict[str, float] = defaultdict(float)
    for channel in channels:
        for stream in streams_of(channel.name, channel.partitions):
            work[stream] += channel.share / channel.partitions * (costs.publish + costs.read)
        for queue, share in channel.queues.items():
            work[queue_key("bull", cluster_name("bull", queue), "")] += channel.share * share * (costs.add + costs.work)
    return work


def by_node(work: Mapping[str, float], nodes: int) -> list[float]:
    """Return what each node has to do for one event of the whole system, in microseconds."""
    loads = [0.0] * nodes
    for key, cost in work.items():
        loads[key_slot(key) * nodes // SLOTS] += cost
    return loads


def rate(channels: Sequence[Channel], nodes: int, costs: Costs) -> float:
    """Return how many events a second the whole cluster carries before its busiest node is as busy as it may be."""
    return costs.busy * 1e6 / max(by_node(work_of(channels, costs), nodes))


def limit(channels: Sequence[Channel], costs: Costs) -> tuple[float, str]:
    """Return how many events a second any number of nodes carries, and the key that a node of its own would be for."""
    key, cost = max(work_of(channels, costs).items(), key=itemgetter(1))
    return costs.busy * 1e6 / cost, key


SCENARIOS: dict[str, Callable[[int], Sequence[Channel]]] = {
    "skewed, a queue for a consumer": system,
    "skewed, one for a subscription": lambda seed: own_queues(system(seed)),
    "skewed, hot channels in 8 parts": lambda seed: hot_channels_in_parts(system(seed)),
    "skewed, hot channels and queues": lambda seed: hot_queues_in_parts(hot_channels_in_parts(system(seed))),
    "the same, one for a subscription": lambda seed: hot_queues_in_parts(
        hot_channels_in_parts(own_queues(system(seed)))
    ),
    "even, a queue for a consumer": lambda seed: system(seed, skew=0),
    "even, one for a subscription": lambda seed: own_queues(system(seed, skew=0)),
}


def main() -> None:
    """Print the table."""
    costs = Costs()
    print(f"events a second, {CHANNELS} channels, {QUEUES} queues, medians of {len(SEEDS)} systems\n")
    print(f"{'nodes':34}" + "".join(f"{nodes:>9}" for nodes in NODES) + f"{'limit':>10}")
    for name, make in SCENARIOS.items():
        systems = [make(seed) for seed in SEEDS]
        rates = [statistics.median(rate(one, nodes, costs) for one in systems) for nodes in NODES]
        most = statistics.median(limit(one, costs)[0] for one in systems)
        print(f"{name:34}" + "".join(f"{figure:>9,.0f}" for figure in rates) + f"{most:>10,.0f}")


if __name__ == "__main__":
    main()
