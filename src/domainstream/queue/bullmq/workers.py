"""Finds the workers of queues by the names of their connections, as BullMQ's tools do."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final, NamedTuple

from domainstream.queue.bullmq.scripts import queue_key
from domainstream.redis.asking import by_node
from domainstream.redis.client_list import connections_of
from domainstream.redis.nodes import RedisNodes

_NAMED: Final = ":w:"
"""What a worker that has a name of its own has in front of it."""


class WorkerName(NamedTuple):
    """What the name of a worker's connection says."""

    queue: str
    """BullMQ's name of its queue."""

    worker: str
    """The worker's own name; empty for none."""


def worker_of(connection: str, *, bull_prefix: str) -> WorkerName | None:
    """Return which worker a connection of this name belongs to; None for any other connection."""
    start, _, worker = connection.partition(_NAMED)
    if not start.startswith(f"{bull_prefix}:"):
        return None
    try:
        # `:qe` behind the queue, which is not base64, marks those that listen for a queue's events.
        queue = b64decode(start.removeprefix(f"{bull_prefix}:"), validate=True).decode()
    except ValueError:
        return None
    return WorkerName(queue, worker) if queue else None


async def worker_counts(nodes: RedisNodes, queues: Sequence[str], *, bull_prefix: str) -> dict[str, int] | None:
    """Return how many workers of each of these queues are connected; None where the user may not list connections.

    `queues` are BullMQ's names.
    """
    keys = {queue_key(bull_prefix, queue, ""): queue for queue in queues}
    counts = dict.fromkeys(queues, 0)
    # A worker waits for jobs at the node that has its queue; it may have connections of the same name to others.
    for own in (await by_node(nodes, keys)).values():
        listed = await nodes.run(own[0], connections_of)
        if listed is None:
            return None
        names = {f"{bull_prefix}:{b64encode(keys[key].encode()).decode()}": keys[key] for key in own}
        for connection in listed:
            queue = names.get(connection.name.partition(_NAMED)[0])
            if queue is not None:
                counts[queue] += 1
    return counts
