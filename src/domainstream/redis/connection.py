"""Clients for the consuming side, and their errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from domainstream.errors import (
    ConfigurationError,
    ServerError,
    ServerOutOfMemoryError,
    ServerRefusedError,
    ServerUnavailableError,
)
from domainstream.publisher.redis_own_pool import place_of

REPLY_TIMEOUT: Final = timedelta(seconds=5)

_NOT_READY = (BusyLoadingError, ClusterDownError, ReadOnlyError, TryAgainError)
_NOT_READY_CODES = ("BUSY ", "MISCONF ", "NOREPLICAS ")
_OUT_OF_MEMORY = "the server's memory is full; let its queues drain, or type: redis-cli CONFIG SET maxmemory <bytes>"


def connect(url: str, *, reply_timeout: timedelta = REPLY_TIMEOUT, **options: Any) -> Redis:
    """Return a client with one connection of its own; it connects when it is first used, one command at a time.

    `reply_timeout` is how long a command may take, which must be more than what a command may block on the server.
    Raises `ConfigurationError` for a URL that is none.

    The client does not repeat commands by itself: a repeated `XREADGROUP >` skips what the lost reply held.
    """
    try:
        pool = BlockingConnectionPool.from_url(url, max_connections=1)
    except ValueError:
        # `from None`, and without the URL: it may hold a password.
        problem = "it must look like redis://user:password@host:6379/0, rediss://... or unix:///path"
        raise ConfigurationError("The URL of the server cannot be used:", [problem]) from None
    settings = {"protocol": 2, "socket_timeout": reply_timeout.total_seconds(), "retry": Retry(NoBackoff(), 0)}
    # After the URL, whose own options, as ?protocol=3 or ?socket_timeout=5, must not undo these.
    pool.connection_kwargs.update({"decode_responses": False, **settings, **options})
    return Redis.from_pool(pool)


@contextmanager
def translated_errors(client: Redis) -> Iterator[None]:
    """Turn what redis-py raises for `client` into `ServerError`s, without causes, which may quote what was sent."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise server_error(error, client) from None


def server_error(error: Exception, client: Redis) -> ServerError:
    """Return what an `error` of `client` means to us."""
    if isinstance(error, AuthenticationError):
        return ServerRefusedError(
            f"the server at {place_of(client.connection_pool)} refused the user or the password; correct the URL"
        )
    if isinstance(error, OutOfMemoryError):
        return ServerOutOfMemoryError(_OUT_OF_MEMORY)
    if isinstance(error, ResponseError) and not _is_not_ready(error):
        return ServerRefusedError(f"the server refused: {error}")
    return ServerUnavailableError(
        f"the server at {place_of(client.connection_pool)} does not answer: {type(error).__name__}: {error}"
    )


def _is_not_ready(error: ResponseError) -> bool:
    return isinstance(error, _NOT_READY) or str(error).startswith(_NOT_READY_CODES)
