"""Asks one sentinel for the primary."""

import asyncio
from typing import Any, Final, NamedTuple

from redis import ConnectionPool as BlockingPool
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry as BlockingRetry

from domainstream.redis.topology import Address, RedisTopology

ASK_TIMEOUT: Final = 1.0
"""Seconds that a sentinel has for its answer."""

_OPTIONS: Final = {"protocol": 2, "decode_responses": False, "socket_connect_timeout": ASK_TIMEOUT}


class Answer(NamedTuple):
    """What a sentinel said."""

    address: Address
    """Where the primary listens."""

    epoch: int
    """The number of the failover that made it the primary; it rises with each."""


async def ask(topology: RedisTopology, sentinel: Address) -> Answer:
    """Ask a sentinel for the primary; raises an error of redis-py or of the system."""
    connection = connection_to(topology, sentinel)
    try:
        async with asyncio.timeout(ASK_TIMEOUT):
            await connection.connect()
            for command in _questions(topology):
                await connection.send_command(*command)
            address = _address_in(await connection.read_response(), topology)
            return Answer(address, _epoch_in(await connection.read_response()))
    finally:
        await connection.disconnect(nowait=True)


def ask_blocking(topology: RedisTopology, sentinel: Address) -> Answer:
    """Do what `ask` does, for a thread."""
    retry = BlockingRetry(NoBackoff(), 0)
    url = topology.sentinel_url_of(sentinel)
    connection: Any = BlockingPool.from_url(url, **_OPTIONS, socket_timeout=ASK_TIMEOUT, retry=retry).make_connection()
    try:
        connection.connect()
        for command in _questions(topology):
            connection.send_command(*command)
        address = _address_in(connection.read_response(), topology)
        return Answer(address, _epoch_in(connection.read_response()))
    finally:
        connection.disconnect()


def connection_to(topology: RedisTopology, sentinel: Address) -> Any:
    """Return a connection of redis-py to a sentinel; it is not open yet, and waits for replies without limit."""
    url = topology.sentinel_url_of(sentinel)
    pool: Any = ConnectionPool.from_url(url, **_OPTIONS, socket_timeout=None, retry=Retry(NoBackoff(), 0))
    return pool.make_connection()


def _questions(topology: RedisTopology) -> list[tuple[str, str, str]]:
    # The first alone names the new primary as soon as there is one; only the second has an epoch.
    name = topology.primary_name
    return [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name), ("SENTINEL", "MASTER", name)]


def _address_in(reply: Any, topology: RedisTopology) -> Address:
    if not reply:
        raise RedisConnectionError(f"it does not know {topology.primary_name}; correct the name in the URL")
    return Address(reply[0].decode(), int(reply[1]))


def _epoch_in(state: Any) -> int:
    return int(dict(zip(state[::2], state[1::2], strict=True))[b"config-epoch"])
