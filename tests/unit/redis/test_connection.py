"""Errors of the client library become ours, and keep secrets."""

from datetime import timedelta
from typing import Any

import pytest
from redis import exceptions
from redis.asyncio.sentinel import Sentinel

from domainstream.errors import (
    ConfigurationError,
    ServerError,
    ServerOutOfMemoryError,
    ServerRefusedError,
    ServerUnavailableError,
)
from domainstream.redis.connection import connect, connect_blocking, link_pool, link_pool_like
from domainstream.redis.errors import translated_errors
from domainstream.redis.primary_connection import BlockingPrimaryTLSConnection, PrimaryTLSConnection

PATIENCE = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (exceptions.ConnectionError("gone"), ServerUnavailableError),
        (exceptions.TimeoutError("late"), ServerUnavailableError),
        (exceptions.BusyLoadingError("loading"), ServerUnavailableError),
        (exceptions.ReadOnlyError("replica"), ServerUnavailableError),
        (ConnectionResetError("reset"), ServerUnavailableError),
        (exceptions.OutOfMemoryError("command not allowed"), ServerOutOfMemoryError),
        (exceptions.ResponseError("WRONGTYPE"), ServerRefusedError),
        (exceptions.NoPermissionError("no permissions"), ServerRefusedError),
    ],
)
def test_client_errors_become_ours(error: Exception, ours: type[ServerError]) -> None:
    """Each kind of failure has its own class, without the original as cause."""
    with pytest.raises(ours) as raised, translated_errors(connect("redis://localhost", reply_timeout=PATIENCE)):
        raise error
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "place"),
    [("redis://user:secret@example.org:6380/1", "example.org:6380"), ("unix:///run/redis.sock", "/run/redis.sock")],
)
def test_refused_password_names_the_server_and_the_url(url: str, place: str) -> None:
    """A wrong user or password is no silence of the server, and is mended in the URL; neither is repeated."""
    with pytest.raises(ServerRefusedError) as raised, translated_errors(connect(url, reply_timeout=PATIENCE)):
        raise exceptions.AuthenticationError("WRONGPASS secret")
    assert str(raised.value) == f"the server at {place} rejected the user or the password; correct the URL"


def test_servers_behind_sentinels_may_use_tls() -> None:
    """Both kinds of connections to the primary use TLS with the options of the URL."""
    url = "rediss+sentinel://user:secret@h1,h2/main/3?ssl_cert_reqs=none"
    made: list[Any] = [
        connect(url).connection_pool.make_connection(),  # type: ignore[no-untyped-call]
        connect_blocking(url, client_name="test").connection_pool.make_connection(),
    ]
    assert [type(one) for one in made] == [PrimaryTLSConnection, BlockingPrimaryTLSConnection]
    assert {one.db for one in made} == {3}
    assert {one.username for one in made} == {"user"}


def test_client_of_redis_py_behind_sentinels_is_refused_with_the_url_to_use() -> None:
    """Its connections would go on at a primary that was replaced."""
    client = Sentinel([("localhost", 26379)]).master_for("main")  # type: ignore[no-untyped-call]
    with pytest.raises(ConfigurationError, match=r"use the URL redis\+sentinel://host:26379,host:26379/name instead"):
        link_pool_like(client)


def test_cluster_is_refused_where_it_cannot_be_used() -> None:
    """The error says which URLs can, and shows no password."""
    for use in (
        connect,
        link_pool,
        lambda url: connect_blocking(url, client_name="test"),
    ):
        with pytest.raises(ConfigurationError, match=r"redis\+cluster:// cannot be used here") as raised:
            use("redis+cluster://:secret@h1")
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://user:secret@host", "redis://user:secret@host:port", "redis://:secret@[host"])
def test_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    """A wrong URL says what one looks like and does not repeat the password."""
    with pytest.raises(ConfigurationError, match="redis://user:password@host") as raised:
        connect(url, reply_timeout=timedelta(seconds=1))
    assert "secret" not in str(raised.value)
