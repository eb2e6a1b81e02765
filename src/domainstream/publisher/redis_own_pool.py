"""Connections that belong to the publisher alone."""

from typing import Any, Final, cast

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError

from domainstream.errors import ConfigurationError
from domainstream.settings import RetryPolicy

CLIENT_NAME: Final = "domainstream-publisher"

_WHERE: Final = frozenset({"host", "port", "path", "db", "username", "password", "credential_provider"})
"""What tells where a client connects and as whom; its other options are about how, and ours differ."""

_URL_PROBLEM: Final = (
    "redis-py cannot read it or does not know an option in it; type redis://host:6379/0, rediss://... or unix://..., "
    "with %2F for / and the like in a password"
)


def pool_from_url(url: str, retry: RetryPolicy) -> ConnectionPool:
    """Return a pool for `url`, raising `ConfigurationError` for one that redis-py cannot read.

    redis-py's own words are not repeated: where a password holds `/` or `[`, they quote it.
    """
    try:
        pool = ConnectionPool.from_url(url)
        pool.connection_kwargs.update(_own(retry))
        cast("Any", pool).make_connection()  # finds options that redis-py does not know
    except (ValueError, TypeError, RedisError):
        raise ConfigurationError("The URL of the server cannot be used:", [_URL_PROBLEM]) from None
    return pool


def pool_like(client: Any, retry: RetryPolicy) -> ConnectionPool:
    """Return a new pool to where `client` connects: same server, same credentials, none of its connections.

    Raises `ConfigurationError` for anything but a redis-py client of a single server.
    """
    pool = getattr(client, "connection_pool", None)
    if not isinstance(client, Redis) or type(pool) not in (ConnectionPool, BlockingConnectionPool):
        problem = f"expected redis.asyncio.Redis for a single server, got {type(client).__name__}"
        raise ConfigurationError("The client cannot be used to publish:", [problem])
    known = client.connection_pool.connection_kwargs
    where = {
        name: value for name, value in known.items() if name in _WHERE or name.startswith(("ssl_", "socket_keepalive"))
    }
    return ConnectionPool(connection_class=client.connection_pool.connection_class, **where, **_own(retry))


def _own(retry: RetryPolicy) -> dict[str, Any]:
    return {
        # redis-py's own retries would add entries again, and its own time-outs would race with ours.
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": retry.attempt_timeout.total_seconds(),
        "health_check_interval": 0,
        "protocol": 2,
        "decode_responses": False,
        "encoding": "utf-8",
        "client_name": CLIENT_NAME,
    }


def place_of(pool: ConnectionPool) -> str:
    """Return where a pool connects, as `host:port` or a socket's path: without user and password."""
    known = pool.connection_kwargs
    return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")


async def ping(pool: ConnectionPool) -> str | None:
    """Ask for a sign of life on a connection of its own; return what is wrong, or None."""
    connection: Any = cast("Any", pool).make_connection()
    try:
        await connection.connect()
        await connection.send_command("PING")
        await connection.read_response()
        await connection.disconnect()
    except (AuthenticationError, AuthorizationError):
        return f"the server at {place_of(pool)} refused the user or the password; correct the URL"
    except (RedisError, OSError) as error:
        return f"the server at {place_of(pool)} does not answer ({type(error).__name__}); is it running?"
    finally:
        await connection.disconnect(nowait=True)
    return None
