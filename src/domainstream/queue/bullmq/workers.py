"""Counts the workers of queues, by the names of their connections, as BullMQ's tools do."""

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from domainstream.redis.nodes import RedisNodes


async def worker_counts(nodes: RedisNodes, queues: Sequence[str], *, bull_prefix: str) -> dict[str, int] | None:
    """Return how many workers of each of these queues are connected; None where the user may not list connections.

    `queues` are BullMQ's names.
    """
    names = {f"{bull_prefix}:{b64encode(queue.encode()).decode()}": queue for queue in queues}
    counts = Counter[str]()
    for listed in (await nodes.each(_connection_names)).values():
        if listed is None:
            return None
        # A worker with a name of its own has it behind `:w:`; `:qe` are those that listen for a queue's events.
        counts.update(names[known] for name in listed if (known := name.partition(":w:")[0]) in names)
    return {queue: counts[queue] for queue in queues}


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
