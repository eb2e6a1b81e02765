"""Partitions of a queue: the BullMQ queues that it is spread over.

All keys of a BullMQ queue lie in one slot of a cluster, so one node does all the work of it. A queue with partitions is
several BullMQ queues, which lie on several nodes. The jobs of an event go to one of them, by its partition key, as
events go to the partitions of a channel.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from domainstream.channel.partitions import MAX_PARTITIONS

_PARTITION: Final = re.compile(r"(?P<queue>.+)-p(?P<number>\d+)")


@lru_cache(maxsize=1024)
def queues_of(queue: str, partitions: int) -> tuple[str, ...]:
    """Return the names of a queue's BullMQ queues: `billing-p0` and so on; without partitions, its own name."""
    return (queue,) if partitions == 1 else tuple(f"{queue}-p{number}" for number in range(partitions))


def by_queue(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of BullMQ queues by the queue that they belong to: one with partitions, or each itself.

    The names may be those on a cluster, `{billing-p3}`. A single one is taken for a queue of this name, because any
    queue may be called so.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        plain = name[1:-1] if name.startswith("{") and name.endswith("}") else name
        match = _PARTITION.fullmatch(plain)
        found.setdefault(match["queue"] if match else plain, []).append(name)
    return {queue if len(own) > 1 else own[0]: own for queue, own in found.items()}


def partitions_problem(partitions: object) -> str | None:
    """Return what is wrong with a number of partitions; None when a queue may have so many."""
    if isinstance(partitions, int) and not isinstance(partitions, bool) and 1 <= partitions <= MAX_PARTITIONS:
        return None
    return f"partitions is {partitions!r}; use a whole number from 1 to {MAX_PARTITIONS}"
