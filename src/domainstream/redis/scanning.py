"""Finds keys by what they begin and end with, without holding the server up."""

from typing import Any, Final

from redis.asyncio import Redis

from domainstream.redis.errors import translated_errors

SCAN_COUNT: Final = 1000


async def keys_like(client: Redis, prefix: str, kind: str, *, suffix: str = "") -> list[str]:
    """Return the keys of a type (`stream`, `hash`, ...) that begin with `prefix` and end with `suffix`, in order.

    It looks at every key of the database, some at a time. Keys that are no UTF-8 are none of ours.
    """
    found: set[bytes] = set()
    pattern = f"{_literally(prefix)}*{_literally(suffix)}"
    with translated_errors(client):
        scan: Any = client.scan_iter(match=pattern, count=SCAN_COUNT, _type=kind)
        async for key in scan:
            found.add(key)
    return sorted(key.decode() for key in found if _is_text(key))


def _literally(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in text)


def _is_text(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True
