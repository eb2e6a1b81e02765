"""Servers of one's own: where they are found, and that none is left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from domainstream.errors import ServerNotFoundError
from domainstream.testing import EmbeddedServer, ServerBinary, find_server, server_binaries, server_lookup

HOLD_A_SERVER = """
import sys, time
from domainstream.testing import EmbeddedServer
server = EmbeddedServer().start()
print(server.pid, flush=True)
time.sleep(60)
"""


def is_gone(pid: int) -> bool:
    """Wait until a process has ended, and return whether it has."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return True
        # A zombie has ended; only its parent, which is not us, can clear it away.
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def until_paused(pid: int, *, paused: bool) -> None:
    """Wait until a process has stopped, or has gone on."""
    deadline = time.monotonic() + 5
    while (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T") is not paused:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which there is nothing."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(server_lookup, "server_binaries", list)


@pytest.mark.parametrize("binary", server_binaries(), ids=lambda binary: binary.kind)
def test_server_answers_and_leaves_nothing_behind(
    binary: ServerBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server is there for the time of a `with` block; then its process is gone, and there never was a file."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with EmbeddedServer(binary.path) as server:
        assert server.pid is not None
        assert server.ended is None
        assert list(tmp_path.iterdir()) == []
        pid = server.pid
    assert is_gone(pid)
    assert list(tmp_path.iterdir()) == []


def test_starting_and_stopping_twice_does_nothing() -> None:
    """Both are idempotent, and a stopped server has no pid."""
    server = EmbeddedServer().start()
    pid = server.pid
    assert server.start().pid == pid
    server.stop()
    server.stop()
    assert server.pid is None


def test_server_that_ends_by_itself_says_so() -> None:
    """Somebody who wonders why nothing answers finds the exit code and the log."""
    server = EmbeddedServer().start()
    os.kill(server.pid or 0, signal.SIGTERM)
    while server.ended is None:
        time.sleep(0.005)
    assert server.ended.startswith("valkey-server ended by itself with exit code 0")
    assert "bye bye" in server.ended
    server.stop()


def test_killed_server_starts_again_on_its_port() -> None:
    """A server that was given a port answers there after a crash, without its data."""
    with EmbeddedServer() as probe:
        port = int(probe.url.rpartition(":")[2])
    with EmbeddedServer(port=port) as server:
        killed = server.pid or 0
        server.kill()
        assert server.pid is None
        assert is_gone(killed)
        assert server.start().url == f"redis://127.0.0.1:{port}"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the state of a process in /proc")
def test_paused_server_can_be_stopped() -> None:
    """A server without a clock is resumed before it is asked to end, so that nobody waits for it."""
    server = EmbeddedServer().start()
    pid = server.pid or 0
    for _ in range(2):
        server.pause()
        until_paused(pid, paused=True)
        server.resume()
        until_paused(pid, paused=False)
    server.pause()
    server.stop()
    assert is_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    """Not even SIGKILL of the program that started it leaves a server or a file behind."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    program = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_SERVER], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert program.stdout is not None
    pid = program.stdout.readline()
    program.kill()
    program.wait()
    program.stdout.close()
    assert is_gone(int(pid))
    assert list(tmp_path.iterdir()) == []


def test_server_that_cannot_start_shows_its_log() -> None:
    """A wrong option ends in the server's own words, and leaves no process."""
    with pytest.raises(ServerNotFoundError, match=r"(?s)did not start.*no-such-option"):
        EmbeddedServer(options=("--no-such-option", "1")).start()


def test_explicit_url_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that somebody gives is taken at its word."""
    monkeypatch.setenv("REDIS_URL", "redis://environment")
    with find_server("redis://explicit") as server:
        assert server == ("redis://explicit", "explicit URL")


def test_environment_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a URL, REDIS_URL is asked."""
    monkeypatch.setenv("REDIS_URL", "redis://environment")
    with find_server() as server:
        assert server == ("redis://environment", "REDIS_URL")


def test_then_a_server_is_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without both, the first server program of the machine is started."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    with find_server() as server:
        assert server.url.startswith("redis://127.0.0.1:")
        assert server.origin == server_binaries()[0].kind


@pytest.mark.usefixtures("no_servers")
def test_nothing_at_all_names_all_four_places() -> None:
    """The error says what to type for each of the four."""
    with pytest.raises(ServerNotFoundError) as raised, find_server():
        pass
    for what in ("--redis-url", "export REDIS_URL", "pip install 'domainstream[demo]'", "apt-get install redis-server"):
        assert what in str(raised.value)
