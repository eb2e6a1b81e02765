"""What a connection of CLIENT LIST says about the program that opened it."""

import pytest

from domainstream.redis.client_list import ClientConnection
from domainstream.redis.connection import DRIVER


def connection(*, address: str = "10.0.0.1:4711", library: str = "") -> ClientConnection:
    """Return a connection."""
    return ClientConnection(name="", address=address, age_s=0, library=library, library_version="")


@pytest.mark.parametrize(
    ("library", "version"),
    [
        ("redis-py(domainstream_v1.2.3)", "1.2.3"),
        ("redis-py(other_v9;domainstream_v1.2.3.dev4)", "1.2.3.dev4"),
        ("redis-py(domainstream_v1.2.3;other_v9)", "1.2.3"),
        ("redis-py(other_v9)", ""),
        ("ioredis", ""),
        ("", ""),
    ],
)
def test_version_is_ours_among_the_upstream_drivers(library: str, version: str) -> None:
    """Our version is in the name of redis-py's library, beside those of others; without it, it is unknown."""
    assert connection(library=library).version == version


def test_our_own_connections_say_our_version() -> None:
    """What we send is what we read."""
    assert connection(library=str(DRIVER.formatted_name)).version


@pytest.mark.parametrize(
    ("address", "host"),
    [("10.0.0.1:4711", "10.0.0.1"), ("[::1]:4711", "[::1]"), ("/run/redis.sock:0", "/run/redis.sock")],
)
def test_host_is_the_address_without_the_port(address: str, host: str) -> None:
    """Connections from one host belong together, whatever their ports."""
    assert connection(address=address).host == host
