"""The keys of streams and of what must lie in the same slot of a Redis Cluster, and the search for keys."""

import re
from contextlib import suppress
from typing import Any, Final

from redis.asyncio import Redis

from domainstream.redis.errors import translated_errors
from domainstream.validation import plain_name

SCAN_COUNT: Final = 1000

_TAGGED_OR_PLAIN = re.compile(r"[^{}\s]*(\{[^{}\s]+\})?[^{}\s]*")
_TAG = re.compile(r"\{[^{}]+\}")


def prefix_problem(prefix: str) -> str | None:
    """Return why stream keys cannot begin with a prefix, or None if they can.

    A prefix may hold one hash tag, as in `{shop}:`, which puts all its streams into one slot of a Redis Cluster. With
    more than one, a stream and its companion keys could end up in different slots.
    """
    if _TAGGED_OR_PLAIN.fullmatch(prefix):
        return None
    return f"prefix {prefix!r} must contain no whitespace and at most one hash tag, as in '{{shop}}:'"


def stream_key(channel: str, prefix: str = "") -> str:
    """Return the key of the channel's stream: the prefix, then the channel's value."""
    return f"{plain_name(prefix)}{plain_name(channel)}"


def companion_key(key: str, name: str) -> str:
    """Return a key that lies in the same cluster slot as the stream `key`, whatever hash tag that has."""
    return f"{key}:{name}" if _TAG.search(key) else f"{{{key}}}:{name}"


def lease_key(stream: str, group: str) -> str:
    """Return the key of the lease that says which instance of a group may read a stream."""
    return companion_key(stream, f"lease:{group}")


def dead_letter_key(stream: str, *, is_cluster: bool) -> str:
    """Return the key of a stream's dead letters; on a cluster it lies in the slot of the stream."""
    return companion_key(stream, "dead") if is_cluster else f"{stream}:dead"


async def keys_like(client: Redis, prefix: str, kind: str, *, suffix: str = "") -> list[str]:
    """Return the keys of a type (`stream`, `hash`, ...) that begin with `prefix` and end with `suffix`, sorted.

    It scans every key of the database, 1,000 at a time, without blocking the server. Keys that are not UTF-8 are not
    ours and are left out.
    """
    # Taken literally: what has a meaning in a glob pattern is escaped.
    start, end = (re.sub(r"[*?\[\]\\]", r"\\\g<0>", text) for text in (prefix, suffix))
    keys: set[str] = set()
    with translated_errors(client):
        scan: Any = client.scan_iter(match=f"{start}*{end}", count=SCAN_COUNT, _type=kind)
        async for key in scan:
            with suppress(UnicodeDecodeError):
                keys.add(key.decode())
    return sorted(keys)
