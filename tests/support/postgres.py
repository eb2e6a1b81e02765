"""A PostgreSQL server for tests: that of `DATABASE_URL`, else one started for them from this machine's binaries."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

URL_VARIABLE = "DATABASE_URL"
_SPARE_USERS = ("postgres", "nobody")


def postgres_binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`; the newest that Debian has, when they are not on PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = shutil.which("initdb")
    candidates = [*([Path(found)] if found else []), *reversed(debian)]
    return next((path.parent for path in candidates if (path.parent / "postgres").exists()), None)


@contextmanager
def postgres_server(binaries: Path) -> Iterator[str]:
    """Start a server in a folder of its own on a free port of this machine, yield its URL, and leave nothing behind."""
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="domainstream-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        data, port = folder / "data", _free_port()
        create: list[Path | str] = [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "test",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--no-locale",
        ]
        subprocess.run(create, user=user, cwd=folder, check=True, capture_output=True)
        with _running(
            [binaries / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"], user, folder
        ):
            yield f"postgresql+psycopg://test@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(command: list[Path | str], user: str | None, folder: Path) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        # An immediate end: nothing in it is worth keeping.
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _unprivileged() -> str | None:
    """Return whom to start the server as; PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    return next((name for name in _SPARE_USERS if _exists(name)), None)


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
