"""Answers over HTTP whether a program is well, for whoever restarts it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Struct

from domainstream.errors import DomainStreamError

TIMEOUT: Final = 5.0
"""Seconds that a request may take to come."""

_PATHS: Final = ("/live", "/ready")


class Health(Struct, frozen=True, kw_only=True):
    """What the endpoint answers."""

    status: str
    """`ok`, or `failing`: then the HTTP status is 503."""

    reason: str = ""
    """What fails; empty while all is well."""

    done: Any = None
    """What the program counts, where it does."""


Look = Callable[[], Awaitable[Health]]


class HealthPortError(DomainStreamError):
    """The endpoint cannot listen where it should."""


@asynccontextmanager
async def health_endpoint(host: str, port: int, look: Look) -> AsyncIterator[int]:
    """Answer for the time of a block; give the port, which 0 leaves to the system.

    `GET /live` is 200 while the process does anything at all; `GET /ready` is what `look` finds.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                request = await reader.readuntil(b"\r\n\r\n")
            status, health = await _answer(request, look)
            writer.write(_response(status, health))
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return  # no request came, or nobody waits for the answer
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, host, port)
    except OSError as error:
        raise HealthPortError(
            f"the health endpoint cannot listen at {host}:{port}: {error.strerror}; choose another: --health-port"
        ) from None
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def _answer(request: bytes, look: Look) -> tuple[HTTPStatus, Health]:
    method, _, rest = request.decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path not in _PATHS:
        return HTTPStatus.NOT_FOUND, Health(status="failing", reason=f"ask for one of {', '.join(_PATHS)}")
    if method != "GET":
        return HTTPStatus.METHOD_NOT_ALLOWED, Health(status="failing", reason="only GET is answered")
    health = Health(status="ok") if path == "/live" else await look()
    return HTTPStatus.OK if health.status == "ok" else HTTPStatus.SERVICE_UNAVAILABLE, health


def _response(status: HTTPStatus, health: Health) -> bytes:
    body = msgspec.json.encode(health)
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
