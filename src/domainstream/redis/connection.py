"""Clients and pools: the one place that says how we connect.

redis-py's own retries are off everywhere. A command that it repeats after a lost reply is run twice: XADD adds an entry
again, and XREADGROUP skips the entries that the lost reply held. Whoever sends a command decides what a repeat means.
"""

from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final

from redis import ConnectionPool as BlockingPool
from redis import DriverInfo
from redis import Redis as BlockingRedis
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.connection import parse_url as parse_blocking_url
from redis.exceptions import RedisError
from redis.retry import Retry as BlockingRetry

from domainstream.errors import ConfigurationError
from domainstream.redis.errors import NoReplyError, place_of, server_error
from domainstream.redis.primary_connection import (
    BlockingPrimaryConnection,
    BlockingPrimaryTLSConnection,
    PrimaryConnection,
    PrimaryTLSConnection,
)
from domainstream.redis.sentinel import PrimaryLookup
from domainstream.redis.server_url import HEADING
from domainstream.redis.topology import RedisTopology, TopologyKind

REPLY_TIMEOUT: Final = timedelta(seconds=5)
"""How long a command may take by default."""

DRIVER: Final = DriverInfo().add_upstream_driver("domainstream", version("domainstream"))
"""What CLIENT LIST shows as the library of our connections, with our version; servers before 7.2 do not keep it."""

_WHERE: Final = frozenset({"host", "port", "path", "lookup", "db", "username", "password", "credential_provider"})
"""Options that say where a client connects and as whom; its other options say how, and ours differ."""

_PRIMARY_CONNECTIONS: Final = {
    (False, False): PrimaryConnection,
    (True, False): PrimaryTLSConnection,
    (False, True): BlockingPrimaryConnection,
    (True, True): BlockingPrimaryTLSConnection,
}
"""By whether it uses TLS, and whether it blocks."""


def connect(where: str | RedisTopology, *, reply_timeout: timedelta = REPLY_TIMEOUT, **options: Any) -> Redis:
    """Return a client with one connection of its own; it connects when it is first used, one command at a time.

    `reply_timeout` is how long a command may take; it must be longer than a command may block on the server. `options`
    are redis-py's. Raises `ConfigurationError` for an invalid URL, and for a cluster.
    """
    pool = BlockingConnectionPool(**_options_of(where), max_connections=1)
    # After the URL, whose own options, as ?protocol=3 or ?socket_timeout=5, must not undo these.
    pool.connection_kwargs.update(
        {
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "decode_responses": False,
            "socket_timeout": reply_timeout.total_seconds(),
            "driver_info": DRIVER,
            **options,
        }
    )
    return Redis.from_pool(pool)


def connect_blocking(where: str | RedisTopology, *, client_name: str) -> BlockingRedis:
    """Return a client for a thread. Raises `ConfigurationError` for an invalid URL, and for a cluster."""
    pool = BlockingPool(**_options_of(where, blocking=True))
    pool.connection_kwargs.update(
        {
            "retry": BlockingRetry(NoBackoff(), 0),
            "protocol": 2,
            "decode_responses": False,
            "socket_timeout": REPLY_TIMEOUT.total_seconds(),
            "socket_connect_timeout": REPLY_TIMEOUT.total_seconds(),
            "client_name": client_name,
            "driver_info": DRIVER,
        }
    )
    return BlockingRedis.from_pool(pool)


def link_pool(
    where: str | RedisTopology, *, client_name: str | None = None, connect_timeout: timedelta = REPLY_TIMEOUT
) -> ConnectionPool:
    """Return a pool that makes connections for a `RedisLink`.

    Raises `ConfigurationError` for an invalid URL, and for a cluster.
    """
    pool = ConnectionPool(**_options_of(where))
    pool.connection_kwargs.update(_link_options(client_name, connect_timeout))
    return pool


def link_pool_like(
    client: Any, *, client_name: str | None = None, connect_timeout: timedelta = REPLY_TIMEOUT
) -> ConnectionPool:
    """Return a pool for a `RedisLink` to where `client` connects: same server and credentials, own connections.

    Raises `ConfigurationError` for anything but a redis-py client of a single server.
    """
    pool = getattr(client, "connection_pool", None)
    if not isinstance(client, Redis) or type(pool) not in (ConnectionPool, BlockingConnectionPool):
        problem = f"expected redis.asyncio.Redis for a single server, got {type(client).__name__}"
        if isinstance(pool, SentinelConnectionPool):
            problem = "redis-py's Sentinel made it; use the URL redis+sentinel://host:26379,host:26379/name instead"
        raise ConfigurationError("The client cannot be used:", [problem])
    known = client.connection_pool.connection_kwargs
    where = {
        name: value for name, value in known.items() if name in _WHERE or name.startswith(("ssl_", "socket_keepalive"))
    }
    connection_class = client.connection_pool.connection_class
    return ConnectionPool(connection_class=connection_class, **where, **_link_options(client_name, connect_timeout))


async def ping(pool: ConnectionPool) -> str | None:
    """Send PING over a connection of its own; return what is wrong, or None."""
    make_connection: Any = pool.make_connection
    connection = make_connection()
    try:
        await connection.connect()
        await connection.send_command("PING")
        await connection.read_response()
        await connection.disconnect()
    except (RedisError, OSError) as error:
        return str(server_error(NoReplyError(error, sent=False), place_of(pool)))
    finally:
        await connection.disconnect(nowait=True)
    return None


def _options_of(where: str | RedisTopology, *, blocking: bool = False) -> dict[str, Any]:
    """Return redis-py's options for connections to a single server, or to the primary that sentinels name."""
    topology = RedisTopology.of(where)
    if topology.is_cluster:
        problem = "redis+cluster:// cannot be used here; use redis://, rediss://, unix:// or redis+sentinel://"
        raise ConfigurationError(HEADING, [problem])
    parse: Callable[[str], Any] = parse_blocking_url if blocking else parse_url
    options = dict(parse(topology.url_of(topology.seeds[0])))
    if topology.kind is TopologyKind.SENTINEL:
        for name in ("host", "port"):
            options.pop(name)
        has_tls = options.pop("connection_class", None) is not None
        options["connection_class"] = _PRIMARY_CONNECTIONS[has_tls, blocking]
        options["lookup"] = PrimaryLookup.of(topology)
    return options


def _link_options(client_name: str | None, connect_timeout: timedelta) -> dict[str, Any]:
    return {
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
        "encoding": "utf-8",
        # The link has a time limit of its own; redis-py's would take a task for each write, and race with it.
        "socket_timeout": None,
        "socket_connect_timeout": connect_timeout.total_seconds(),
        "health_check_interval": 0,
        "client_name": client_name,
        "driver_info": DRIVER,
    }


async def replies_of(pipe: Pipeline) -> list[Any]:
    """Run a pipeline of redis-py and return its replies, or raise the first error as the server put it.

    redis-py itself would put the command in front of the error, so that its code could not be read.
    """
    return [accepted(reply) for reply in await pipe.execute(raise_on_error=False)]


def accepted(reply: Any) -> Any:
    """Return a reply, or raise it when it is an error."""
    if isinstance(reply, Exception):
        raise reply
    return reply
