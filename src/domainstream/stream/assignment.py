"""Who shares the streams of a group, and who of them reads which: every instance finds the same answer for itself.

Each pair of a stream and an instance has a fixed random rank. The highest pairs win, but no instance gets more than its
share, rounded up. An instance that comes or goes changes no rank, so most streams stay where they are.
"""

from collections.abc import Collection
from hashlib import blake2b
from typing import Final, Protocol

_WORD: Final = 2**64 - 1
_FACTOR: Final = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: a product with it depends on every bit of the other factor."""


class GroupMembers(Protocol):
    """The instances that share the streams of a group. For one task. Raises the same errors as `StreamReader`."""

    instance: str
    """The name of this instance, which no other has."""

    async def beat(self) -> frozenset[str]:
        """Be a member for another term, and return the names of all members, this instance's included."""
        ...

    async def leave(self) -> None:
        """Be a member no longer, so that the others need not wait for the end of the term."""
        ...


def assign(streams: Collection[str], instances: Collection[str]) -> dict[str, str]:
    """Return the instance of each stream; the order of both does not matter. Empty without instances."""
    numbers = {instance: _number(instance) for instance in instances}
    ranked = [
        (_mixed(number ^ own), stream, instance)
        for stream in streams
        for number in [_number(stream)]
        for instance, own in numbers.items()
    ]
    ranked.sort(reverse=True)
    most = -(-len(streams) // max(1, len(instances)))
    assigned: dict[str, str] = {}
    counts = dict.fromkeys(instances, 0)
    for _, stream, instance in ranked:
        if stream not in assigned and counts[instance] < most:
            assigned[stream] = instance
            counts[instance] += 1
    return assigned


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())


def _mixed(number: int) -> int:
    number = (number ^ number >> 32) * _FACTOR & _WORD
    return (number ^ number >> 29) * _FACTOR & _WORD
