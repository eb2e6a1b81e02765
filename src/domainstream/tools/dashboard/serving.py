"""Serves a dashboard at a socket."""

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from domainstream.tools.dashboard.app import Dashboard
from domainstream.tools.dashboard.settings import DashboardSettings, require_private
from domainstream.validation import raise_problems


def serve(settings: DashboardSettings, *, host: str, port: int, ready: Callable[[int], object]) -> None:
    """Serve until SIGTERM or Ctrl-C; `ready` is called with the port, once it serves.

    Raises `ConfigurationError` for an address that can be reached from elsewhere while nobody has to say who they are,
    and for a port that cannot be had.
    """
    require_private(host, settings.access)
    listening = _listening(host, port)
    server = _Server(_config(Dashboard(settings)), lambda: ready(listening.getsockname()[1]))
    server.run(sockets=[listening])


async def serve_until_cancelled(
    settings: DashboardSettings, listening: socket.socket, *, ready: Callable[[], object]
) -> None:
    """Serve at a socket until the task is cancelled; `ready` is called once it serves."""
    dashboard = Dashboard(settings)
    try:
        await _ServerWithoutSignals(_config(dashboard), ready).serve(sockets=[listening])
    finally:
        await dashboard.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is a free one. Raises `OSError`."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def _listening(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        raise_problems(f"Port {port} of {host}", [f"{error.strerror}; choose another one: --port"])
        raise


def _config(dashboard: Dashboard) -> uvicorn.Config:
    return uvicorn.Config(
        dashboard,
        log_level="warning",
        access_log=False,
        # Whoever sends `X-Forwarded-For` must not choose the address that we see: it decides whose header is believed.
        proxy_headers=False,
        server_header=False,
        # Open pages follow the server without end.
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    """A server that says when it serves."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        if self.started:
            self._ready()


class _ServerWithoutSignals(_Server):
    """A server that leaves signals to the program that it is a part of."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield
