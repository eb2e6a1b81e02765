"""Rejects a server that would evict streams and jobs when its memory is full; checked when a program starts."""

from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.telemetry import Signal, emit
from domainstream.validation import raise_problems

SAFE: Final = "noeviction"


async def check_eviction_at(url: str) -> None:
    """Do `check_eviction` over a connection of its own."""
    client = connect(url)
    try:
        await check_eviction(client)
    finally:
        await client.aclose()


async def check_eviction(client: Redis) -> None:
    """Raise `ConfigurationError` unless the server refuses writes when its memory is full, instead of evicting keys.

    Where the user may not run INFO, a warning is logged instead. Raises the errors of `StreamReader` when the server
    does not answer.
    """
    with translated_errors(client):
        try:
            memory: dict[str, Any] = await client.info("memory")
        except NoPermissionError:
            reason = "the user may not call INFO; make sure that maxmemory-policy is noeviction"
            emit(Signal.STREAM_EVICTION_UNKNOWN, reason=reason)
            return
    policy = str(memory.get("maxmemory_policy", SAFE))
    problem = (
        f"its maxmemory-policy is {policy}, so that it may evict whole streams and jobs when its memory is full; "
        f"run: redis-cli CONFIG SET maxmemory-policy {SAFE}"
    )
    raise_problems("The server", [None if policy == SAFE else problem])
