"""Serves a dashboard until a signal stops it."""

from collections.abc import Callable
from socket import socket

import uvicorn

from domainstream.tools.dashboard.app import Dashboard
from domainstream.tools.dashboard.settings import DashboardSettings, require_private


def serve(settings: DashboardSettings, *, host: str, port: int, ready: Callable[[int], object]) -> None:
    """Serve until SIGTERM or Ctrl-C; `ready` is called with the port, once it listens.

    Raises `ConfigurationError` for an address that can be reached from elsewhere while nobody has to say who they are.
    """
    require_private(host, settings.access)
    config = uvicorn.Config(
        Dashboard(settings),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        # Whoever sends `X-Forwarded-For` must not choose the address that we see: it decides whose header is believed.
        proxy_headers=False,
        server_header=False,
        # Open pages follow the server without end.
        timeout_graceful_shutdown=1,
    )
    _Server(config, ready).run()


class _Server(uvicorn.Server):
    """A server that says at which port it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[int], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for server in self.servers[:1] if self.started else ():
            self._ready(server.sockets[0].getsockname()[1])
