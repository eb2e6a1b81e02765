"""Checks the URL of a server, in the same way for every part of the system.

redis-py reads the same URL differently in its two clients, and guesses where it should reject: `/prod` is database 0 to
it, `/1/2` database 12, and what follows an unescaped `?` or `#` in a password is dropped. So a URL is checked here
first, and what redis-py would misread is rejected with the reason.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from redis import ConnectionPool as BlockingPool
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import URL_QUERY_ARGUMENT_PARSERS, to_bool
from redis.exceptions import RedisError

from domainstream.errors import ConfigurationError

HEADING: Final = "The URL of the server cannot be used:"
NOT_READABLE: Final = (
    "it must look like redis://user:password@host:6379/0, rediss://... or unix:///path, with %2F for / and the like in "
    "a password, and only options that redis-py knows"
)
_SCHEMES: Final = ("redis", "rediss", "unix")
_POOL_OPTIONS: Final = ("max_connections", "timeout")
SWITCH_VALUES: Final = ("0", "1", "f", "false", "n", "no", "t", "true", "y", "yes")


def valid_url(url: str) -> str:
    """Return a URL, its scheme in lower case, that means the same to every client of redis-py.

    Raises `ConfigurationError` for a URL that redis-py cannot read or would misread. The error does not repeat the URL,
    which may hold a password; redis-py's own errors quote it.
    """
    problems: list[str] = []
    try:
        parts = urlsplit(url)
        problems += dict.fromkeys(_problems(url, parts))
        if not problems:
            url = f"{parts.scheme}{url[len(parts.scheme) :]}"
            for pools in (ConnectionPool, BlockingPool):
                pool: Any = pools.from_url(url)
                pool.make_connection()  # finds options that this client does not know, and values it cannot use
            return url
    except (ValueError, TypeError, AttributeError, RedisError):
        pass
    raise ConfigurationError(HEADING, problems or [NOT_READABLE]) from None


def character_problems(url: str) -> Iterator[str]:
    """Yield what no URL of ours may contain."""
    # urlsplit drops tabs and line breaks, which come from files that were read whole.
    if not url.isprintable() or " " in url:
        yield "it contains a space, a line break or another control character; remove it, or write it as %20"
    if "#" in url:
        yield "it contains #, and what follows would be ignored; write %23 for # in a password"


def _problems(url: str, parts: SplitResult) -> Iterator[str]:
    """Yield what redis-py would misread, without quoting what may be part of a password."""
    if parts.scheme not in _SCHEMES:
        return
    yield from character_problems(url)
    if parts.port == 0:
        yield "its port is 0, for which redis-py would take 6379; name the server's port"
    if parts.scheme == "unix" and not parts.path:
        yield "it names no socket; write unix:///path"
    elif parts.scheme == "unix" and parts.hostname not in (None, "localhost"):
        yield "it has two slashes before the socket, and the first part of the path would be dropped; write unix:///path"
    if parts.scheme != "unix" and not re.fullmatch(r"/?|/\d+", parts.path):
        yield "what follows the host must be the number of a database, as in redis://host:6379/0"
    options = parse_qsl(parts.query, keep_blank_values=True)
    if parts.scheme != "unix" and len(parts.path) > 1 and "db" in dict(options):
        yield "it names the database twice; remove db"
    yield from _option_problems(options)


def _option_problems(options: Sequence[tuple[str, str]]) -> Iterator[str]:
    counts = Counter(name for name, _ in options)
    for name, value in options:
        if not re.fullmatch("[a-z_]+", name):
            yield "what follows ? must be options as name=value; write %3F for ? in a password"
        elif name in _POOL_OPTIONS:
            yield f"{name} is an option of redis-py's pools, which are not used; remove it"
        elif counts[name] > 1:
            yield f"{name} is given twice; remove one"
        elif URL_QUERY_ARGUMENT_PARSERS.get(name) is to_bool and value.lower() not in SWITCH_VALUES:
            yield f"{name} must be true or false"
