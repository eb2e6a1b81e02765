"""What a worker counts, as an immutable snapshot."""

from msgspec import Struct


class WorkerStats(Struct, frozen=True, kw_only=True):
    """What a worker has done since it was made, and how it is doing now."""

    running: int = 0
    """Jobs whose handlers are running now."""

    completed: int = 0
    """Jobs recorded as completed."""

    delayed: int = 0
    """Attempts recorded as delayed, because the handler asked to retry later."""

    failed: int = 0
    """Attempts recorded as failed, including those that are retried."""

    failures: int = 0
    """Round trips to the server that have failed in a row; 0 as soon as one succeeds."""

    last_error: str = ""
    """Why the last of these round trips failed; empty while there is none."""
