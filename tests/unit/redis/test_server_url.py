"""A URL is read once, by one value object, and never shown."""

import pytest

from domainstream.errors import ConfigurationError
from domainstream.publisher import RedisStreamPublisherClient
from domainstream.redis.connection import connect, connect_blocking
from domainstream.redis.link import RedisLink
from domainstream.redis.server_url import ServerUrl

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
        ("unix:///run/redis.sock", "/run/redis.sock"),
    ],
)
def test_place_shows_neither_user_nor_password(url: str, place: str) -> None:
    """Errors and logs name the server by host and port, or by its socket."""
    parsed = ServerUrl.parse(url)
    assert parsed.place == place
    assert "secret" not in repr(parsed)


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
