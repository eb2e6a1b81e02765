"""Where a server is: one value object reads a URL, once, for every part of the system."""

from dataclasses import dataclass, field
from typing import Any, Final, Self

from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from domainstream.errors import ConfigurationError

_PROBLEM: Final = (
    "it must look like redis://user:password@host:6379/0, rediss://... or unix:///path, with %2F for / and the like in "
    "a password, and only options that redis-py knows"
)


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """The URL of a server, known to be one that redis-py can read. Made by `parse`."""

    url: str = field(repr=False)
    """The URL as it was given; it may hold a password."""

    place: str
    """The server as `host:port`, or a socket's path: what errors and logs may show."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the value object of a URL.

        Raises `ConfigurationError` for a URL that redis-py cannot read, without repeating it: it may hold a password,
        and redis-py's own words quote it.
        """
        try:
            pool = ConnectionPool.from_url(url)
            make_connection: Any = pool.make_connection  # finds options that redis-py does not know
            make_connection()
        except (ValueError, TypeError, AttributeError, RedisError):
            raise ConfigurationError("The URL of the server cannot be used:", [_PROBLEM]) from None
        return cls(url, place_of(pool))


def place_of(pool: Any) -> str:
    """Return where a pool of redis-py connects, as `host:port` or a socket's path: without user and password."""
    known = pool.connection_kwargs
    return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")
