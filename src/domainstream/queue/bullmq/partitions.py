"""Finds the BullMQ queues that a queue is spread over, without a scan of all keys."""

from typing import Any, Final

from domainstream.channel.partitions import MAX_PARTITIONS
from domainstream.errors import ServerError
from domainstream.queue.bullmq.scripts import cluster_name, queue_key
from domainstream.queue.partitions import queues_of
from domainstream.redis.connection import accepted
from domainstream.redis.errors import code_of
from domainstream.redis.nodes import RedisNodes
from domainstream.validation import plain_name

ELSEWHERE: Final = frozenset({"MOVED", "ASK", "TRYAGAIN"})
"""What a node of a cluster answers about keys that another one has."""


async def existing_queues(nodes: RedisNodes, queue: str, *, bull_prefix: str) -> list[str]:
    """Return the names of the BullMQ queues that there are of a queue: its own, then those of its partitions.

    A queue that was given partitions later may still have jobs under its own name. There is a queue if it ever had a
    job or a worker. `queue` may also be BullMQ's name on a cluster.
    """
    plain = plain_name(queue)
    if nodes.is_cluster and plain.startswith("{") and plain.endswith("}"):
        plain = plain[1:-1]
    keys = {name: _keys(nodes, name, bull_prefix) for name in (plain, *queues_of(plain, MAX_PARTITIONS))}

    async def ask(redis: Any) -> list[Any]:
        async with redis.pipeline(transaction=False) as pipe:
            for both in keys.values():
                pipe.exists(*both)
            return [_count(reply) for reply in await pipe.execute(raise_on_error=False)]

    answers = (await nodes.try_each(ask)).values()
    down = next((answer for answer in answers if isinstance(answer, ServerError)), None)
    counts = [answer for answer in answers if not isinstance(answer, ServerError)]
    found = []
    for number, name in enumerate(keys):
        own = [answer[number] for answer in counts if answer[number] is not None]
        # No node has it if its slot moves, or if its node is down: what is not there cannot be told from that.
        is_there = any(own) if own or (down is not None and name != plain) else await _has(nodes, keys[name])
        found += [name] if is_there else []
    if down is not None and found != [plain]:
        raise down
    return found


async def _has(nodes: RedisNodes, keys: list[str]) -> bool:
    return bool(await nodes.run(keys[0], lambda redis: redis.exists(*keys)))


def _keys(nodes: RedisNodes, queue: str, bull_prefix: str) -> list[str]:
    name = cluster_name(bull_prefix, queue) if nodes.is_cluster else queue
    return [queue_key(bull_prefix, name, key) for key in ("meta", "id")]


def _count(reply: Any) -> int | None:
    """Return how many of the keys a node has; None for keys of other nodes."""
    return None if isinstance(reply, Exception) and code_of(reply) in ELSEWHERE else int(accepted(reply))
