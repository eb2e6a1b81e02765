"""What spans say of where messages go, or come from: the channel, and the partition."""

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from domainstream.channel.partitions import channel_of, parse_target
from domainstream.telemetry import Attribute, Attributes


class Destination(NamedTuple):
    """A channel, and perhaps one of its partitions."""

    name: str
    """The channel's value; empty for several channels."""

    attributes: Attributes
    """The number of the partition, if it is one of several."""


@lru_cache(maxsize=4096)
def destination_of(target: str) -> Destination:
    """Return the destination that a target names, or a stream."""
    stream = parse_target(target).stream
    channel = channel_of(stream) or stream
    _, _, partition = stream[len(channel) :].rpartition("p")
    return Destination(channel, {Attribute.PARTITION: partition} if partition else {})


def destination_of_all(targets: Collection[str]) -> Destination:
    """Return what the destinations of several messages have in common."""
    distinct = set(targets)
    if len(distinct) == 1:
        return destination_of(distinct.pop())
    channels = {destination_of(target).name for target in distinct}
    return Destination(channels.pop() if len(channels) == 1 else "", {})
