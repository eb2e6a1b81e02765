"""A proxy that lets each request wait for a millisecond, as a network does; a process, so that it costs nobody time.

Usage: `python -m benchmarks.delaying_proxy <host> <port>`; it prints its own port, and ends with its standard input.
"""

import asyncio
import sys
from typing import Final, cast

DELAY: Final = 0.001


class Outgoing(asyncio.Protocol):
    """The connection to the server; replies go on at once."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        """Pass a reply on."""
        self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """Close the client's connection too."""
        self._client.close()


class Incoming(asyncio.Protocol):
    """The connection from a client; requests wait, in order."""

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self._server: asyncio.Task[asyncio.Transport] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the server."""
        self._server = asyncio.create_task(self._connect(cast("asyncio.Transport", transport)))

    def data_received(self, data: bytes) -> None:
        """Pass a request on, later."""
        asyncio.get_running_loop().call_later(DELAY, self._pass_on, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """Close the server's connection too."""
        if self._server is not None and self._server.done():
            self._server.result().close()

    def _pass_on(self, data: bytes) -> None:
        if self._server is None:
            return
        if self._server.done():
            self._server.result().write(data)
        else:
            asyncio.get_running_loop().call_later(DELAY, self._pass_on, data)

    async def _connect(self, client: asyncio.Transport) -> asyncio.Transport:
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: Outgoing(client), *self._where)
        return transport


async def main(host: str, port: int) -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Incoming(host, port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
