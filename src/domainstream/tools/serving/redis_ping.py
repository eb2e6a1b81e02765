"""Asks the server for a sign of life, for the health endpoint."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from domainstream.errors import ServerError
from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.tools.serving.health import Health, Look

TIMEOUT: Final = timedelta(seconds=2)


@asynccontextmanager
async def ping_of(url: str | None) -> AsyncIterator[Look]:
    """Give a function that tells whether the server answers; without a URL all is well. It has its own connection."""
    if not url:
        yield _well
        return
    client = connect(url, reply_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT.total_seconds())

    async def look() -> Health:
        try:
            with translated_errors(client):
                await client.ping()
        except ServerError as error:
            return Health(status="failing", reason=str(error))
        return Health(status="ok")

    try:
        yield look
    finally:
        await client.aclose()


async def _well() -> Health:
    return Health(status="ok")
