"""Counts the workers of queues, by the names of their connections, as BullMQ's tools do."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from domainstream.queue.bullmq.scripts import queue_key
from domainstream.redis.asking import by_node
from domainstream.redis.nodes import RedisNodes


async def worker_counts(nodes: RedisNodes, queues: Sequence[str], *, bull_prefix: str) -> dict[str, int] | None:
    """Return how many workers of each of these queues are connected; None where the user may not list connections.

    `queues` are BullMQ's names.
    """
    keys = {queue_key(bull_prefix, queue, ""): queue for queue in queues}
    counts = dict.fromkeys(queues, 0)
    # A worker waits for jobs at the node that has its queue; it may have connections of the same name to others.
    for own in (await by_node(nodes, keys)).values():
        listed = await nodes.run(own[0], _connection_names)
        if listed is None:
            return None
        names = {f"{bull_prefix}:{b64encode(keys[key].encode()).decode()}": keys[key] for key in own}
        for name in listed:
            # A worker with a name of its own has it behind `:w:`; `:qe` are those that listen for a queue's events.
            queue = names.get(name.partition(":w:")[0])
            if queue is not None:
                counts[queue] += 1
    return counts


async def _connection_names(redis: Redis) -> list[str] | None:
    try:
        connections: list[dict[str, Any]] = await redis.client_list(_type="normal")
    except NoPermissionError:
        return None
    except ResponseError as error:
        if "unknown" in str(error).lower():  # managed servers disable commands
            return None
        raise
    return [str(connection.get("name", "")) for connection in connections]
