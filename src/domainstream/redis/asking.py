"""Asks about many keys in few round trips, also on a cluster. For what people and tools look at."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from domainstream.redis.connection import accepted
from domainstream.redis.errors import code_of
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import Address

Ask = Callable[[Pipeline], Any]
"""Adds one command about a key to a pipeline; the command only reads."""

AT_A_TIME: Final = 500
"""About how many commands are sent in one round trip."""

_ELSEWHERE: Final = frozenset({"MOVED", "ASK", "TRYAGAIN"})


async def ask_each(
    nodes: RedisNodes, asks: Mapping[str, Sequence[Ask]], *, missing: Collection[str] = ()
) -> dict[str, list[Any]]:
    """Return the replies to the commands about each key, in their order.

    A reply is None if it is an error that has one of the texts of `missing`, such as `no such key`. Raises
    `ServerError` for any other.
    """
    replies: dict[str, list[Any]] = {}
    for keys in (await by_node(nodes, asks)).values():
        for some in _in_round_trips(keys, asks):
            replies |= await _ask(nodes, {key: asks[key] for key in some}, missing)
    return replies


async def by_node(nodes: RedisNodes, keys: Iterable[str]) -> dict[Address, list[str]]:
    """Return the keys by the node that has them. Raises `ServerError`."""
    found: dict[Address, list[str]] = {}
    for key in keys:
        found.setdefault(await nodes.address_of(key), []).append(key)
    return found


async def _ask(nodes: RedisNodes, asks: Mapping[str, Sequence[Ask]], missing: Collection[str]) -> dict[str, list[Any]]:
    """Ask about keys of one node; about those that have moved meanwhile, one by one."""
    is_one = len(asks) == 1

    async def send(redis: Redis) -> dict[str, list[Any]]:
        async with redis.pipeline(transaction=False) as pipe:
            for of_key in asks.values():
                for ask in of_key:
                    ask(pipe)
            found = iter(await pipe.execute(raise_on_error=False))
        replies: dict[str, list[Any]] = {}
        for key, of_key in asks.items():
            own = [next(found) for _ in of_key]
            if is_one or not any(isinstance(reply, Exception) and code_of(reply) in _ELSEWHERE for reply in own):
                replies[key] = [_known(reply, missing) for reply in own]
        return replies

    replies = await nodes.run(next(iter(asks)), send)
    for key in asks.keys() - replies.keys():
        replies |= await _ask(nodes, {key: asks[key]}, missing)
    return replies


def _known(reply: Any, missing: Collection[str]) -> Any:
    if isinstance(reply, Exception) and any(text in str(reply) for text in missing):
        return None
    return accepted(reply)


def _in_round_trips(keys: Sequence[str], asks: Mapping[str, Sequence[Ask]]) -> list[list[str]]:
    """Return the keys in parts that have at most `AT_A_TIME` commands, or one key."""
    parts: list[list[str]] = []
    room = 0
    for key in keys:
        if len(asks[key]) > room:
            parts.append([])
            room = AT_A_TIME
        parts[-1].append(key)
        room -= len(asks[key])
    return parts


async def clocks_of(nodes: RedisNodes, keys: Iterable[str]) -> dict[str, int]:
    """Return for each key the time of the node that has it, in milliseconds since 1970. Raises `ServerError`."""

    async def now_ms(redis: Redis) -> int:
        seconds, microseconds = await redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    clocks: dict[str, int] = {}
    for of_node in (await by_node(nodes, keys)).values():
        clocks |= dict.fromkeys(of_node, await nodes.run(of_node[0], now_ms))
    return clocks
