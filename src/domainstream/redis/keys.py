"""The keys of streams, and of what must lie in the same slot of a Redis Cluster."""

import re

from domainstream.validation import plain_name

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
