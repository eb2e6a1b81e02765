"""Where a channel's entries live: the key of its stream."""

import re

_TAGGED_OR_PLAIN = re.compile(r"[^{}\s]*(\{[^{}\s]+\})?[^{}\s]*")
_TAG = re.compile(r"\{[^{}]+\}")


def prefix_problem(prefix: str) -> str | None:
    """Say why a prefix cannot stand before stream keys, or None: companions must stay in their stream's slot.

    A prefix may hold one hash tag, as in `{shop}:`, which puts all its streams into one slot of a Redis Cluster.
    """
    if _TAGGED_OR_PLAIN.fullmatch(prefix):
        return None
    return f"prefix {prefix!r} must have no white space and at most one hash tag, as in '{{shop}}:'"


def stream_key(channel: str, prefix: str = "") -> str:
    """Return the key of the channel's stream: its value behind the prefix."""
    return f"{prefix}{channel}"


def companion_key(key: str, name: str) -> str:
    """Return a key that lies in the same cluster slot as the stream `key`, whatever hash tag that has."""
    return f"{key}:{name}" if _TAG.search(key) else f"{{{key}}}:{name}"
