"""Decides whether a program is ready: it is not stopping, reports no problem itself, and its server answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct

from domainstream.errors import ServerError
from domainstream.health import HasHealth
from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.tools.serving.health_endpoint import HealthResponse, Probe
from domainstream.tools.serving.program import Program

PING_TIMEOUT: Final = timedelta(seconds=2)

Ping = Callable[[], Awaitable[str | None]]
"""Asks the server for a sign of life, and returns the problem, if there is one."""


@runtime_checkable
class HasStats(Protocol):
    """A program with counters."""

    @property
    def stats(self) -> Struct:
        """A snapshot of the counters."""
        ...


def readiness_probe(program: Program, ping: Ping, *, is_stopping: Callable[[], bool]) -> Probe:
    """Return the probe of a program; one without `health` or `stats` is ready when its server answers."""

    async def probe() -> HealthResponse:
        done = program.stats if isinstance(program, HasStats) else None
        problem = "stopping" if is_stopping() else await _problem(program) or await ping()
        return HealthResponse(status="failing" if problem else "ok", reason=problem or "", done=done)

    return probe


async def _problem(program: Program) -> str | None:
    if not isinstance(program, HasHealth):
        return None
    health = await program.health()
    return None if health.ok else health.problem or f"{type(program).__name__} reports that it is not healthy"


@asynccontextmanager
async def ping_of(url: str | None) -> AsyncIterator[Ping]:
    """Yield a function that pings the server over a connection of its own; without a URL it reports no problem."""
    if not url:
        yield _no_problem
        return
    client = connect(url, reply_timeout=PING_TIMEOUT, socket_connect_timeout=PING_TIMEOUT.total_seconds())

    async def ping() -> str | None:
        try:
            with translated_errors(client):
                await client.ping()
        except ServerError as error:
            return str(error)
        return None

    try:
        yield ping
    finally:
        await client.aclose()


async def _no_problem() -> str | None:
    return None
