"""Serves a program's health and its metrics over HTTP, for the supervisor that restarts it and for Prometheus.

A program is ready when it is not stopping, reports no problem itself, and its server answers.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Final, Protocol, runtime_checkable

import msgspec
from msgspec import Struct

from domainstream.errors import DomainStreamError, MissingExtraError, ServerError
from domainstream.health import HasHealth
from domainstream.redis.nodes import RedisNodes
from domainstream.tools.metrics.exporter import Exporter
from domainstream.tools.metrics.exposition import content_type, exposition
from domainstream.tools.metrics.handling import RECORDER
from domainstream.tools.metrics.programs import ready_sample, stats_samples
from domainstream.tools.serving.program import Program

TIMEOUT: Final = 5.0
"""Seconds that a client has to send its request."""

PING_TIMEOUT: Final = timedelta(seconds=2)
_PATHS: Final = ("/live", "/ready", "/metrics")
_JSON: Final = "application/json"


class HealthResponse(Struct, frozen=True, kw_only=True):
    """The body of a response."""

    status: str
    """`ok`, or `failing`, which is sent with the HTTP status 503."""

    reason: str = ""
    """What fails; empty if all is well."""

    done: Struct | None = None
    """The program's counters, if it has any."""


Probe = Callable[[], Awaitable[HealthResponse]]
"""Finds out whether the program is ready."""

ReadMetrics = Callable[[], Awaitable[bytes]]
"""Returns the metrics as text; raises `MissingExtraError` without `prometheus_client`."""

Ping = Callable[[], Awaitable[str | None]]
"""Asks the server for a sign of life, and returns the problem, if there is one."""


@runtime_checkable
class HasStats(Protocol):
    """A program with counters."""

    @property
    def stats(self) -> Struct:
        """A snapshot of the counters."""
        ...


class HealthPortError(DomainStreamError):
    """The endpoint cannot listen on its port."""


@asynccontextmanager
async def health_endpoint(
    host: str, port: int, probe: Probe, metrics: ReadMetrics, *, option: str = "--health-port"
) -> AsyncIterator[int]:
    """Serve for the duration of a block and yield the port; the port 0 lets the system choose one.

    `GET /live` is 200 as long as the event loop runs; `GET /ready` is the result of `probe`, `GET /metrics` that of
    `metrics`. Raises `HealthPortError`, which names `option` as the one to change, if the port is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                request = await reader.readuntil(b"\r\n\r\n")
            status, kind, body = await _answer(request, probe, metrics)
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nConnection: close\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return  # no complete request arrived, or the client has gone
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, host, port)
    except OSError as error:
        raise HealthPortError(
            f"the health endpoint cannot listen at {host}:{port}: {error.strerror}; choose another: {option}"
        ) from None
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def _answer(request: bytes, probe: Probe, metrics: ReadMetrics) -> tuple[HTTPStatus, str, bytes]:
    method, _, rest = request.decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path not in _PATHS:
        return _failing(HTTPStatus.NOT_FOUND, f"the paths are {', '.join(_PATHS)}")
    if method != "GET":
        return _failing(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is supported")
    if path == "/metrics":
        try:
            return HTTPStatus.OK, content_type(), await metrics()
        except MissingExtraError as error:
            return _failing(HTTPStatus.NOT_FOUND, str(error))
        except Exception as error:  # noqa: BLE001 - a collector of the user's; its message may quote data
            return _failing(HTTPStatus.INTERNAL_SERVER_ERROR, f"reading the metrics raised {type(error).__name__}")
    response = HealthResponse(status="ok") if path == "/live" else await probe()
    status = HTTPStatus.OK if response.status == "ok" else HTTPStatus.SERVICE_UNAVAILABLE
    return status, _JSON, msgspec.json.encode(response)


def _failing(status: HTTPStatus, reason: str) -> tuple[HTTPStatus, str, bytes]:
    return status, _JSON, msgspec.json.encode(HealthResponse(status="failing", reason=reason))


def metrics_reader(program: Program, probe: Probe) -> ReadMetrics:
    """Return what reads the metrics of a program, whose `probe` says whether it is ready."""
    if isinstance(program, Exporter):
        return program.metrics

    async def read() -> bytes:
        response = await probe()
        ready = ready_sample(program, is_ready=response.status == "ok")
        return exposition([ready, *stats_samples(response.done), *RECORDER.samples()])

    return read


def readiness_probe(program: Program, ping: Ping | None, *, is_stopping: Callable[[], bool]) -> Probe:
    """Return the probe of a program; one without `health` or `stats` is ready when its server answers."""

    async def probe() -> HealthResponse:
        name = type(program).__name__
        try:
            done = program.stats if isinstance(program, HasStats) else None
            problem = "stopping" if is_stopping() else None
            if problem is None and isinstance(program, HasHealth):
                health = await program.health()
                if not health.ok:
                    problem = health.problem or f"{name} reports that it is not healthy"
        except Exception as error:  # noqa: BLE001 - a program of the user's; its message may quote data
            problem, done = f"`stats` or `health` of {name} raised {type(error).__name__}", None
        if problem is None and ping is not None:
            problem = await ping()
        return HealthResponse(status="failing" if problem else "ok", reason=problem or "", done=done)

    return probe


@asynccontextmanager
async def open_ping(url: str) -> AsyncIterator[Ping]:
    """Yield a function that pings the server over a connection of its own; of a cluster, each primary."""
    seconds = PING_TIMEOUT.total_seconds()
    async with RedisNodes.open(url, reply_timeout=PING_TIMEOUT, socket_connect_timeout=seconds) as nodes:

        async def ping() -> str | None:
            try:
                await nodes.each(lambda redis: redis.ping())
            except ServerError as error:
                return str(error)
            return None

        yield ping
