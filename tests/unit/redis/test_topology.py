"""One value says where Redis is, whichever of the five kinds of URLs named it."""

import string
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio.connection import parse_url
from redis.connection import parse_url as parse_blocking_url

from domainstream.errors import ConfigurationError
from domainstream.redis.topology import Address, RedisTopology, TopologyKind

SECRETS = st.text(min_size=3, max_size=20).map(lambda text: f"secret{text}")
"""Users and passwords of any characters; they are quoted in URLs."""

HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,10}(\.[a-z]{2,4})?", fullmatch=True)
ADDRESSES = st.lists(st.tuples(HOSTS, st.integers(1, 65535)), min_size=1, max_size=4, unique=True)
NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=12)


def known_of(url: str) -> dict[str, object]:
    """Return what redis-py reads in a URL, which must be the same for both of its clients."""
    known: dict[str, object] = dict(parse_url(url))
    known.pop("connection_class", None)
    assert known.items() <= parse_blocking_url(url).items()  # type: ignore[no-untyped-call]
    return known


@pytest.mark.parametrize(
    ("url", "kind", "place", "database"),
    [
        ("redis://", TopologyKind.SINGLE, "localhost:6379", 0),
        ("redis://user:secret@example.org:6380/1", TopologyKind.SINGLE, "example.org:6380", 1),
        ("Rediss://example.org?db=2", TopologyKind.SINGLE, "example.org:6379", 2),
        ("redis://[::1]:6380", TopologyKind.SINGLE, "[::1]:6380", 0),
        ("unix:///run/redis.sock?db=3", TopologyKind.SINGLE, "/run/redis.sock", 3),
        ("redis+sentinel://h1,h2:7/main", TopologyKind.SENTINEL, "main (sentinels h1:26379, h2:7)", 0),
        ("Redis+Sentinel://u:secret@h1/main/4", TopologyKind.SENTINEL, "main (sentinels h1:26379)", 4),
        ("rediss+sentinel://h1/main?db=5", TopologyKind.SENTINEL, "main (sentinels h1:26379)", 5),
        ("redis+cluster://[::1],h2:7001", TopologyKind.CLUSTER, "cluster at [::1]:6379, h2:7001", 0),
        ("rediss+cluster://:secret@h1/0", TopologyKind.CLUSTER, "cluster at h1:6379", 0),
    ],
)
def test_url_names_a_topology(url: str, kind: TopologyKind, place: str, database: int) -> None:
    """Each kind of URL gives its kind, its database, and a place without user and password."""
    topology = RedisTopology.of(url)

    assert (topology.kind, topology.place, topology.database) == (kind, place, database)
    assert repr(topology) == f"RedisTopology({place!r})"
    assert topology.is_cluster == (kind is TopologyKind.CLUSTER)


def test_topology_is_a_value() -> None:
    """Two of the same URL are equal and have the same hash; one is returned as it is."""
    one, other = (RedisTopology.of("redis+cluster://:secret@h1,h2") for _ in range(2))

    assert (one, hash(one)) == (other, hash(other))
    assert RedisTopology.of(one) is one
    assert one != RedisTopology.of("redis+cluster://:other@h1,h2")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(user=SECRETS, password=SECRETS, addresses=ADDRESSES, name=NAMES, database=st.integers(0, 15), tls=st.booleans())
def test_url_of_a_server_is_the_url_with_another_host(
    user: str, password: str, addresses: list[tuple[str, int]], name: str, database: int, *, tls: bool
) -> None:
    """User, password, database and options reach the server that the sentinels name, whatever they contain."""
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    hosts = ",".join(f"{host}:{port}" for host, port in addresses)
    scheme = "rediss" if tls else "redis"

    topology = RedisTopology.of(f"{scheme}+sentinel://{credentials}@{hosts}/{name}/{database}?socket_keepalive=yes")

    assert topology.seeds == tuple(Address(*address) for address in addresses)
    assert (topology.primary_name, topology.database) == (name, database)
    server = topology.url_of(Address("primary", 7))
    assert server.startswith(f"{scheme}://")
    assert known_of(server) == {
        "username": user,
        "password": password,
        "host": "primary",
        "port": 7,
        "db": database,
        "socket_keepalive": True,
    }
    assert known_of(topology.sentinel_url_of(topology.seeds[0])) == dict(
        zip(("host", "port"), addresses[0], strict=True)
    )
    assert "secret" not in f"{topology!r} {topology.place}"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(user=SECRETS, password=SECRETS, address=st.tuples(HOSTS, st.integers(1, 65535)), database=st.integers(0, 15))
def test_url_of_a_single_server_is_not_changed(
    user: str, password: str, address: tuple[str, int], database: int
) -> None:
    """A URL that redis-py can read is used as it is."""
    url = f"redis://{quote(user, safe='')}:{quote(password, safe='')}@{address[0]}:{address[1]}/{database}"

    topology = RedisTopology.of(url)

    assert topology.seeds == (Address(*address),)
    assert topology.url_of(topology.seeds[0]) == url
    assert topology.database == database


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(user=SECRETS, password=SECRETS)
def test_sentinels_have_a_user_and_a_password_of_their_own(user: str, password: str) -> None:
    """The servers' password is not sent to sentinels, nor theirs to the servers."""
    own = f"sentinel_username={quote(user, safe='')}&sentinel_password={quote(password, safe='')}"

    topology = RedisTopology.of(f"redis+sentinel://server:word@h1/main?{own}&client_name=me")

    known = known_of(topology.sentinel_url_of(topology.seeds[0]))
    assert (known["username"], known["password"]) == (user, password)
    assert known_of(topology.url_of(Address("primary", 6379))) == {
        "username": "server",
        "password": "word",
        "host": "primary",
        "port": 6379,
        "client_name": "me",
    }


@pytest.mark.parametrize(
    ("options", "scheme", "known"),
    [
        ("?ssl_cert_reqs=none&db=1", "rediss", {"ssl_cert_reqs": "none"}),
        ("?ssl_cert_reqs=none&sentinel_tls=no", "redis", {}),
        ("", "rediss", {}),
    ],
)
def test_sentinels_use_tls_as_the_servers_do(options: str, scheme: str, known: dict[str, str]) -> None:
    """They share the options of TLS, unless `sentinel_tls` says that they listen without."""
    topology = RedisTopology.of(f"rediss+sentinel://h1/main{options}")

    url = topology.sentinel_url_of(topology.seeds[0])
    assert url.startswith(f"{scheme}://h1:26379")
    assert known_of(url).items() >= known.items()
    assert topology.url_of(Address("primary", 7)).startswith("rediss://primary:7")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+sentinel://secret", "must name the primary"),
        ("redis+sentinel://secret/", "must name the primary"),
        ("redis+sentinel://secret/main/prod", "must name the primary"),
        ("redis+sentinel://u:12/secret@h1/main", "must name the primary"),
        ("redis+sentinel://u:12?secret@h1/main", "write %3F for [?] in a password|must name the primary"),
        ("redis+sentinel://u:12#secret@h1/main", "write %23 for # in a password"),
        ("redis+sentinel:///main", "each host must be host:port"),
        ("redis+sentinel://secret,,h2/main", "each host must be host:port"),
        ("redis+sentinel://secret:port/main", "each host must be host:port"),
        ("redis+sentinel://secret:0/main", "each host must be host:port"),
        ("redis+sentinel://secret:65536/main", "each host must be host:port"),
        ("redis+sentinel://::1/main", "each host must be host:port"),
        ("redis+sentinel://secret,Secret:26379/main", "names a host twice"),
        ("redis+sentinel://secret/main\n", "a line break"),
        ("redis+sentinel://secret/main/1?db=2", "names the database twice"),
        ("redis+sentinel://secret/main?sentinel_tls=maybe", "sentinel_tls must be true or false"),
        ("redis+sentinel://secret/main?sentinel_password=a&sentinel_password=b", "sentinel_password is given twice"),
        ("redis+sentinel://secret/main?timeout=20", "timeout is an option of redis-py's pools"),
        ("redis+sentinel://secret/main?tiemout=20", "redis[+]sentinel://user:password@host:26379,host:26379/mymaster"),
        ("redis+sentinel:secret", "redis[+]sentinel://user:password@host:26379,host:26379/mymaster"),
        ("redis+cluster://secret/1", "only database 0"),
        ("redis+cluster://secret?db=1", "only database 0"),
        ("redis+cluster://secret?sentinel_password=x", "redis[+]cluster://user:password@host:6379,host:6379"),
        ("redis+cluster://", "each host must be host:port"),
        ("redis+other://secret", "redis://user:password@host:6379/0"),
    ],
)
def test_what_cannot_be_meant_is_rejected_with_the_reason(url: str, reason: str) -> None:
    """The error says what to write instead, and shows no part of the URL."""
    with pytest.raises(ConfigurationError, match=reason) as raised:
        RedisTopology.of(url)
    assert "secret" not in str(raised.value).lower()
    assert raised.value.__cause__ is None
