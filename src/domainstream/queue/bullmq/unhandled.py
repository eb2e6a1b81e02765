"""Finds the jobs that wait for a build that handles them.

A worker puts a job back whose event version, event type or job name it does not know yet. Such a job is delayed, and
its reason begins with the type of the error, as the worker wrote it.
"""

from typing import Any, Final

from msgspec import Struct

from domainstream.errors import HandlerNotFoundError, UnknownEventVersionError
from domainstream.event.json_guard import SAFE_INTEGER
from domainstream.queue.bullmq.scripts import queue_key
from domainstream.redis.connection import accepted
from domainstream.redis.errors import code_of
from domainstream.redis.nodes import RedisNodes

PAGE: Final = 500
SEARCHED: Final = 10_000
"""How many delayed jobs are looked at, those that are due next. Jobs that wait are due within minutes."""

_ERRORS: Final = frozenset(error.__name__ for error in (HandlerNotFoundError, UnknownEventVersionError))


class UnhandledJobs(Struct, frozen=True, kw_only=True):
    """Jobs of one queue that wait for the same reason."""

    queue: str
    """The queue's name."""

    error: str
    """`UnknownEventVersionError` for events of a newer version, `HandlerNotFoundError` for a missing handler."""

    jobs: int
    """How many they are."""

    names: tuple[str, ...]
    """Their names, sorted."""

    oldest_ms: int
    """When the oldest of them was added, in milliseconds since 1970."""


def unhandled_error(reason: bytes | None) -> str | None:
    """Return the type of the error in a stored reason, if it is why a job waits; None otherwise."""
    error = (reason or b"").partition(b":")[0].decode(errors="replace")
    return error if error in _ERRORS else None


async def unhandled_jobs(nodes: RedisNodes, queue: str, *, bull_prefix: str) -> list[UnhandledJobs]:
    """Return the jobs of a queue that wait for a build that handles them, among the first `SEARCHED` delayed ones.

    `queue` is BullMQ's name of it.
    """
    found: dict[str, list[tuple[str, int]]] = {}
    for start in range(0, SEARCHED, PAGE):
        replies = await _page(nodes, queue, start, bull_prefix=bull_prefix)
        for reason, name, added in filter(None, replies):
            if (error := unhandled_error(reason)) is not None:
                found.setdefault(error, []).append(((name or b"").decode(errors="replace"), whole_number(added) or 0))
        if len(replies) < PAGE:
            break
    return [
        UnhandledJobs(
            queue=queue,
            error=error,
            jobs=len(jobs),
            names=tuple(sorted({name for name, _ in jobs})),
            oldest_ms=min(added for _, added in jobs),
        )
        for error, jobs in sorted(found.items())
    ]


async def _page(nodes: RedisNodes, queue: str, start: int, *, bull_prefix: str) -> list[Any]:
    """Return reason, name and time of adding for each of up to `PAGE` delayed jobs; None for what is not a job."""
    delayed = queue_key(bull_prefix, queue, "delayed")

    async def read(redis: Any) -> list[Any]:
        job_ids = await redis.zrange(delayed, start, start + PAGE - 1)
        async with redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                # Any program may have added the job: its id may not be text, or be the name of another key.
                key = queue_key(bull_prefix, queue, job_id.decode(errors="backslashreplace"))
                pipe.hmget(key, ["failedReason", "name", "timestamp"])
            replies = await pipe.execute(raise_on_error=False)
        return [
            None if isinstance(reply, Exception) and code_of(reply) == "WRONGTYPE" else accepted(reply)
            for reply in replies
        ]

    return await nodes.run(delayed, read)


def whole_number(value: bytes | None) -> int | None:
    """Return a number of a job; None where it is missing or not a number: any program may have added the job."""
    try:
        number = int(float(value or b""))
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= SAFE_INTEGER else None
