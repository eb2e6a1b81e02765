"""A URL is checked in one place, and never shown."""

import pytest
from redis.asyncio import ConnectionPool

from domainstream.errors import ConfigurationError
from domainstream.publisher import RedisStreamPublisherClient
from domainstream.redis.connection import connect, connect_blocking
from domainstream.redis.link import RedisLink

USES = [
    connect,
    RedisLink.from_url,
    RedisStreamPublisherClient.from_url,
    lambda url: connect_blocking(url, client_name="domainstream-worker"),
]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:secret@example.org:6380/1", "example.org:6380"),
        ("rediss://example.org", "example.org:6379"),
        ("Redis://example.org/1", "example.org:6379"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
    ],
)
def test_place_shows_neither_user_nor_password(url: str, place: str) -> None:
    """Errors and logs name the server by host and port, or by its socket."""
    link = RedisLink.from_url(url)
    assert link.place == place
    assert "secret" not in repr(link)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@host",
        "redis://user:secret@host:port",
        "redis://:secret@[host",
        "redis://:secret/word@host",
        "redis://user:secret@host?tiemout=1",
    ],
)
def test_invalid_url_is_rejected_alike_everywhere(use: object, url: str) -> None:
    """Publisher, reader, forwarder and worker reject the same URLs with the same words, and show no password."""
    with pytest.raises(ConfigurationError, match="redis://user:password@host:6379/0") as raised:
        use(url)  # type: ignore[operator]
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://secret/prod", "number of a database"),
        ("redis://secret/1/2", "number of a database"),
        ("redis://secret/1?db=2", "names the database twice"),
        ("redis://secret:0", "its port is 0"),
        ("redis://secret\n", "a line break"),
        ("redis://user:12#secret@host", "write %23 for # in a password"),
        ("redis://user:12?secret@host", "write %3F for [?] in a password"),
        ("redis://secret?db=1&db=2", "db is given twice; remove one$"),
        ("redis://secret?timeout=20", "timeout is an option of redis-py's pools"),
        ("redis://secret?max_connections=5", "max_connections is an option of redis-py's pools"),
        ("redis://secret?socket_keepalive=flase", "socket_keepalive must be true or false"),
        ("unix://", "names no socket"),
        ("unix://secret/redis.sock", "two slashes before the socket"),
    ],
)
def test_what_redis_py_would_misread_is_rejected_with_the_reason(use: object, url: str, reason: str) -> None:
    """Where redis-py guesses, or reads a URL differently in its two clients, the error says what to write instead."""
    with pytest.raises(ConfigurationError, match=reason) as raised:
        use(url)  # type: ignore[operator]
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "database"),
    [
        ("redis://localhost/prod", "localhost", 6379, 0),
        ("redis://localhost/1/2", "localhost", 6379, 12),
        ("redis://localhost:0", "localhost", 6379, 0),
        ("redis://user:12?word@localhost", "user", 12, 0),
    ],
)
def test_control_redis_py_misreads_them(url: str, host: str, port: int, database: int) -> None:
    """Control: redis-py alone takes these for another database, port or host, without a word."""
    known = ConnectionPool.from_url(url).connection_kwargs
    assert (known["host"], known.get("port", 6379), known.get("db", 0)) == (host, port, database)


def test_control_redis_py_drops_the_first_part_of_a_socket() -> None:
    """Control: redis-py alone takes the first part of the path for a host, and connects to another socket."""
    assert ConnectionPool.from_url("unix://run/redis.sock").connection_kwargs["path"] == "/redis.sock"


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://localhost/",
        "redis://localhost?",
        "redis://localhost?protocol=3",
        "unix:///s?db=1",
        "unix://localhost/s",
    ],
)
def test_url_of_another_program_can_be_shared(use: object, url: str) -> None:
    """What is valid and unambiguous is accepted; options that we decide ourselves have no effect."""
    assert use(url)  # type: ignore[operator]
