"""Where Redis is: one server, the primary that sentinels name, or the nodes of a cluster.

Every part of the system takes the same five kinds of URLs::

    redis://user:password@host:6379/0                        rediss:// for TLS
    unix:///run/redis.sock
    redis+sentinel://user:password@host:26379,host:26379/mymaster/0
    redis+cluster://user:password@host:6379,host:6379        rediss+sentinel:// and rediss+cluster:// for TLS

User, password and options are those of the servers, not of the sentinels, which have options of their own:
`?sentinel_username=`, `?sentinel_password=`, and `?sentinel_tls=0` where only the servers use TLS.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote

from redis.asyncio.connection import parse_url

from domainstream.errors import ConfigurationError
from domainstream.redis.server_url import HEADING, NOT_READABLE, SWITCH_VALUES, character_problems, valid_url


class TopologyKind(StrEnum):
    """How servers work together."""

    SINGLE = "single"
    """One server, at a host and port or a socket."""

    SENTINEL = "sentinel"
    """A primary and its replicas; sentinels say which server is the primary."""

    CLUSTER = "cluster"
    """A Redis Cluster: each primary has a part of the keys."""


class Address(NamedTuple):
    """Where a server or a sentinel listens."""

    host: str
    """A name or an IP address, or the path of a Unix socket."""

    port: int
    """The TCP port; 0 for a Unix socket."""

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RedisTopology:
    """Where Redis is and how to connect, from a URL. Its `repr` shows hosts and ports, neither user nor password."""

    kind: TopologyKind
    """How the servers work together."""

    seeds: tuple[Address, ...]
    """The single server, all sentinels that the URL names, or some nodes of the cluster."""

    primary_name: str
    """The name by which the sentinels know the primary; empty unless sentinels name it."""

    database: int
    """The number of the database; a cluster has only 0."""

    _server_url: tuple[str, str]
    """The URL of a server: up to its address, and what follows that."""

    _sentinel_url: tuple[str, str]
    """The same of a sentinel."""

    @classmethod
    def of(cls, where: "str | RedisTopology") -> "RedisTopology":
        """Return the topology that a URL names; a topology is returned as it is.

        Raises `ConfigurationError` for a URL that cannot be used. The error does not repeat the URL, which may hold a
        password.
        """
        if isinstance(where, RedisTopology):
            return where
        scheme = where.partition(":")[0].lower()
        return _of_many(where, *_SCHEMES[scheme]) if scheme in _SCHEMES else _of_one(valid_url(where))

    @property
    def is_cluster(self) -> bool:
        """Whether each primary has only a part of the keys."""
        return self.kind is TopologyKind.CLUSTER

    @property
    def place(self) -> str:
        """How messages name it: `host:6379`, `mymaster (sentinels host:26379, host:26379)`, `cluster at host:6379`."""
        addresses = ", ".join(map(str, self.seeds))
        if self.kind is TopologyKind.SENTINEL:
            return f"{self.primary_name} (sentinels {addresses})"
        return f"cluster at {addresses}" if self.is_cluster else addresses

    def url_of(self, address: Address) -> str:
        """Return the URL of one server, in a form that redis-py reads; it holds the password."""
        before, after = self._server_url
        return before if self.kind is TopologyKind.SINGLE else f"{before}{address}{after}"

    def sentinel_url_of(self, address: Address) -> str:
        """Return the URL of one sentinel, in a form that redis-py reads; it may hold a password."""
        before, after = self._sentinel_url
        return f"{before}{address}{after}"

    def __repr__(self) -> str:
        return f"RedisTopology({self.place!r})"


_SCHEMES: Final = {
    "redis+sentinel": ("redis", TopologyKind.SENTINEL),
    "rediss+sentinel": ("rediss", TopologyKind.SENTINEL),
    "redis+cluster": ("redis", TopologyKind.CLUSTER),
    "rediss+cluster": ("rediss", TopologyKind.CLUSTER),
}
_PORTS: Final = {TopologyKind.SENTINEL: 26379, TopologyKind.CLUSTER: 6379}
_FORMS: Final = {
    TopologyKind.SENTINEL: "redis+sentinel://user:password@host:26379,host:26379/mymaster/0",
    TopologyKind.CLUSTER: "redis+cluster://user:password@host:6379,host:6379",
}
_PATHS: Final = {
    TopologyKind.SENTINEL: (
        re.compile(r"/(?P<name>[A-Za-z0-9._-]+)(?P<database>/\d+)?"),
        "it must name the primary after the hosts, as in redis+sentinel://host:26379/mymaster",
    ),
    TopologyKind.CLUSTER: (
        re.compile(r"(?P<name>)(?P<database>/0|/)?"),
        "nothing may follow the hosts, since a cluster has only database 0",
    ),
}
_SENTINEL_OPTIONS: Final = ("sentinel_username=", "sentinel_password=", "sentinel_tls=")
_PARTS: Final = re.compile(r".*?://(?P<user>(?:[^/?#]*@)?)(?P<hosts>[^/?#]*)(?P<path>[^?#]*)(?P<options>.*)", re.DOTALL)
_HOST: Final = re.compile(r"(?:\[(?P<ip>[0-9a-f:.]+)\]|(?P<name>[\w.-]+))(?::(?P<port>\d+))?")


def _of_one(url: str) -> RedisTopology:
    known = parse_url(url)
    path = known.get("path")
    return RedisTopology(
        kind=TopologyKind.SINGLE,
        seeds=(Address(path, 0) if path else Address(known.get("host", "localhost"), known.get("port", 6379)),),
        primary_name="",
        database=known.get("db", 0),
        _server_url=(url, ""),
        _sentinel_url=("", ""),
    )


def _of_many(url: str, scheme: str, kind: TopologyKind) -> RedisTopology:
    # Not by urlsplit, to which commas are part of a port.
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise ConfigurationError(HEADING, [_problem_of(kind)])
    form, path_problem = _PATHS[kind]
    path = form.fullmatch(parts["path"])
    seeds = [_address(text.lower(), _PORTS[kind]) for text in parts["hosts"].split(",")]
    options, own = _options(parts["options"]) if kind is TopologyKind.SENTINEL else (parts["options"], [])
    problems = [*character_problems(url), *_own_option_problems(own)]
    if path is None:
        problems.append(path_problem)
    if None in seeds:
        problems.append("each host must be host:port or [address]:port, with a comma between two of them")
    elif len(set(seeds)) < len(seeds):
        problems.append("it names a host twice; remove one")
    if kind is TopologyKind.CLUSTER and re.search("[?&]db=", options):
        problems.append("a cluster has only database 0; remove db")
    if problems or path is None:
        raise ConfigurationError(HEADING, problems)
    after = f"{path['database'] or ''}{options}"
    topology = RedisTopology(
        kind=kind,
        seeds=tuple(seed for seed in seeds if seed),
        primary_name=path["name"],
        database=0,
        _server_url=(f"{scheme}://{parts['user']}", after),
        _sentinel_url=_sentinel_url(scheme, options, dict(own)),
    )
    for one in (topology.url_of(topology.seeds[0]), topology.sentinel_url_of(topology.seeds[0])):
        try:
            valid_url(one)
        except ConfigurationError as error:
            problems = [_problem_of(kind) if problem == NOT_READABLE else problem for problem in error.problems]
            raise ConfigurationError(HEADING, problems) from None
    database = parse_url(topology.url_of(topology.seeds[0])).get("db", 0)
    return replace(topology, database=database)


def _problem_of(kind: TopologyKind) -> str:
    return (
        f"it must look like {_FORMS[kind]}, with %2F for / and the like in a password, and only options that "
        "redis-py knows"
    )


def _address(text: str, default_port: int) -> Address | None:
    found = _HOST.fullmatch(text)
    if found is None:
        return None
    port = int(found["port"] or default_port)
    return Address(found["ip"] or found["name"], port) if 0 < port < 65536 else None


def _options(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return what follows the path without the options for sentinels, and those."""
    pieces = text.removeprefix("?").split("&")
    own = [piece for piece in pieces if piece.startswith(_SENTINEL_OPTIONS)]
    rest = "&".join(piece for piece in pieces if piece not in own)
    return f"?{rest}" if rest else "", parse_qsl("&".join(own), keep_blank_values=True)


def _own_option_problems(own: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, count in Counter(name for name, _ in own).items():
        if count > 1:
            yield f"{name} is given twice; remove one"
    if dict(own).get("sentinel_tls", "1").lower() not in SWITCH_VALUES:
        yield "sentinel_tls must be true or false"


def _sentinel_url(scheme: str, options: str, own: Mapping[str, str]) -> tuple[str, str]:
    """Return the URL of a sentinel up to its address, and what follows it."""
    user, password = (quote(own.get(name, ""), safe="") for name in ("sentinel_username", "sentinel_password"))
    credentials = f"{user}:{password}@" if user or password else ""
    if scheme == "redis" or own.get("sentinel_tls", "1")[0].lower() in "0fn":
        return f"redis://{credentials}", ""
    tls = [piece for piece in options.removeprefix("?").split("&") if piece.startswith("ssl_")]
    return f"rediss://{credentials}", f"?{'&'.join(tls)}" if tls else ""
