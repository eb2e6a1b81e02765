"""Finds keys by what they begin and end with, without blocking the server."""

from contextlib import suppress
from typing import Any, Final

from redis.asyncio import Redis

from domainstream.redis.errors import translated_errors

SCAN_COUNT: Final = 1000


async def keys_like(client: Redis, prefix: str, kind: str, *, suffix: str = "") -> list[str]:
    """Return the keys of a type (`stream`, `hash`, ...) that begin with `prefix` and end with `suffix`, sorted.

    It scans every key of the database, 1,000 at a time. Keys that are not UTF-8 are not ours and are left out.
    """
    keys: set[str] = set()
    with translated_errors(client):
        scan: Any = client.scan_iter(match=f"{_escaped(prefix)}*{_escaped(suffix)}", count=SCAN_COUNT, _type=kind)
        async for key in scan:
            with suppress(UnicodeDecodeError):
                keys.add(key.decode())
    return sorted(keys)


def _escaped(text: str) -> str:
    """Return the glob pattern that matches a text literally."""
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in text)
