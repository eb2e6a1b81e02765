"""Fixtures of the fault tests, and the report of their figures."""

import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from faults.ledger import Ledger
from faults.scene import Scene
from faults.sizes import SIZES, Size
from redis.asyncio import Redis

from domainstream.testing import EmbeddedServer, ServerBinary, server_binaries

Report = Callable[[str], None]
FIGURE = "figure"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of tests that depend on the kind of server more than others, or not at all."""
    config.addinivalue_line("markers", "every_server: run on every kind of server at the quick size too")
    config.addinivalue_line("markers", "one_server: run on one kind of server at full size too")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every kind of server at full size; at the quick size on one kind, unless it asks for all."""
    if "binary" in metafunc.fixturenames:
        binaries = list(server_binaries())
        every, one = map(metafunc.definition.get_closest_marker, ("every_server", "one_server"))
        if one or (metafunc.config.getoption("faults") == "quick" and not every):
            binaries = binaries[:1]
        metafunc.parametrize("binary", binaries, ids=[binary.kind for binary in binaries])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that the tests reported."""
    passed = terminalreporter.getreports("passed")
    figures = [(test.nodeid, text) for test in passed for name, text in test.user_properties if name == FIGURE]
    if figures:
        terminalreporter.section("figures")
    for test, text in figures:
        terminalreporter.write_line(f"{test.rpartition('::')[2]}: {text}")


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    """How much to do."""
    return SIZES[str(request.config.getoption("faults"))]


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """A random generator that draws the same in each run of a test."""
    return random.Random(request.node.name)


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Report:
    """Report a measured figure; it is printed at the end of a run of this folder."""
    return lambda text: record_property(FIGURE, text)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger(tmp_path)


@pytest.fixture
def server_options() -> tuple[str, ...]:
    """The command-line options of the server; a test module may override them."""
    return ()


@pytest.fixture
def server(binary: ServerBinary, server_options: tuple[str, ...]) -> Iterator[EmbeddedServer]:
    """A private server of the test, which keeps its port after a crash."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with EmbeddedServer(binary.path, server_options, port=port) as server:
        yield server


@pytest.fixture
async def scene(server: EmbeddedServer, ledger: Ledger, size: Size) -> AsyncIterator[Scene]:
    """A server without any processes yet."""
    async with Redis.from_url(server.url) as redis:
        scene = Scene(server, redis, ledger, patience=size.patience)
        yield scene
        scene.close()
