"""Partitions: the streams that a channel is spread over, and which of them an event goes to.

Events with the same partition key are in the same stream, in their order. Different keys are not ordered among each
other, so that the streams of a channel may lie on different nodes and be read by different instances.

A message says where it goes by its target: the channel's value, or for a channel with partitions `domain_x:p3/8`, the
partition 3 of 8. The number of partitions is in it so that the server can reject what was made for another number.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

MAX_PARTITIONS: Final = 1024
"""A channel with more would cost its readers more than it gains."""

_STREAM: Final = re.compile(r"(?P<channel>[^:]+)(:p(?P<number>\d+))?")
_TARGET: Final = re.compile(r"(?P<stream>(?P<channel>.+):p\d+)/(?P<partitions>\d+)")


class Target(NamedTuple):
    """Where a message goes."""

    channel: str
    """The channel's value."""

    stream: str
    """The stream's name, which its key has behind the prefix: the channel's value, or `domain_x:p3`."""

    partitions: int
    """Over how many streams the channel is spread."""


def streams_of(channel: str, partitions: int) -> tuple[str, ...]:
    """Return the names of a channel's streams; without partitions, the channel's value."""
    return (channel,) if partitions == 1 else tuple(f"{channel}:p{number}" for number in range(partitions))


def targets_of(channel: str, partitions: int) -> tuple[str, ...]:
    """Return the target of each partition of a channel."""
    return (channel,) if partitions == 1 else tuple(f"{each}/{partitions}" for each in streams_of(channel, partitions))


def channel_of(stream: str) -> str | None:
    """Return the channel that a stream of this name belongs to; None for a key that is not a stream."""
    match = _STREAM.fullmatch(stream)
    return match["channel"] if match else None


def in_channel_order(streams: Iterable[str]) -> list[str]:
    """Return those of the names that are of streams, by channel, and the partitions of each by number."""
    found = [match for match in map(_STREAM.fullmatch, streams) if match]
    return [match[0] for match in sorted(found, key=lambda match: (match["channel"], int(match["number"] or -1)))]


def target_of(targets: tuple[str, ...], key: str) -> str:
    """Return which of a channel's targets the events with a partition key go to."""
    return targets[partition_of(key, len(targets))]


def partition_of(key: str, partitions: int) -> int:
    """Return the number of the partition, from 0, that a partition key belongs to."""
    return crc32(key.encode(errors="surrogatepass")) % partitions


@lru_cache(maxsize=4096)
def parse_target(target: str) -> Target:
    """Return what a target says."""
    match = _TARGET.fullmatch(target)
    return Target(match["channel"], match["stream"], int(match["partitions"])) if match else Target(target, target, 1)


def partitions_problems(partitions: Mapping[str, int], members: Collection[str]) -> Iterator[str]:
    """Yield one sentence, with its fix, for each entry of a channel enum's `partitions=` that is wrong."""
    for name, number in partitions.items():
        given: object = number
        if name not in members:
            yield f"partitions: {name!r} is not a channel of the class; use the name of a member"
        elif not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MAX_PARTITIONS:
            yield f"partitions: {name} has {given!r} partitions; use a whole number from 1 to {MAX_PARTITIONS}"
