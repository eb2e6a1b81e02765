"""A PgBouncer in front of a PostgreSQL server, which changes the server's process with each transaction."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import make_url

_SPARE_USERS = ("postgres", "nobody")
_CONFIG = """[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
min_pool_size = 3
server_round_robin = 1
logfile = {folder}/log
"""


def pgbouncer_binary() -> str | None:
    """Return the program, also where Debian keeps it."""
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin:/opt/homebrew/bin")


@contextmanager
def pooled(postgres_url: str, binary: str) -> Iterator[str]:
    """Run a pooler in front of the server of a URL of SQLAlchemy, and yield the URL that goes through it."""
    url = make_url(postgres_url)
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        listen: int = spare.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="domainstream-pgbouncer-") as name:
        folder = Path(name)
        values = {"host": url.host, "port": url.port or 5432, "user": url.username, "listen": listen, "folder": name}
        (folder / "config.ini").write_text(_CONFIG.format(**values), encoding="utf-8")
        user = _unprivileged()
        if user is not None:
            shutil.chown(folder, user)
            folder.chmod(0o755)
        process = subprocess.Popen([binary, "-q", folder / "config.ini"], user=user, stderr=subprocess.DEVNULL)
        try:
            _wait_for(listen, process)
            yield url.set(host="127.0.0.1", port=listen).render_as_string(hide_password=False)
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(0.02)
    raise RuntimeError(f"pgbouncer ended with {process.returncode}")


def _unprivileged() -> str | None:
    """Return whom to run it as; it refuses to run as root."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in _SPARE_USERS if name in known), None)
