"""Ends handlers that were cancelled, and abandons those that ignore it.

A handler is code of users: it may swallow its cancellation, and then it would hold its job, the lock and the process
for as long as it likes. So it has a limit for its clean-up. After that its job is handed back or failed without it, it
is reported and counted, and whatever comes of it later is ignored. Its effects may then overlap with those of the next
attempt, as those of a plain function do, which cannot be cancelled at all.
"""

import asyncio
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from domainstream.lifecycle import abandon, cancel_and_wait
from domainstream.telemetry import Signal, emit

CANCELLATION_LIMIT: Final = 2.0
"""Seconds that a cancelled handler has to end; after half of them it is cancelled once more."""

_NOT_USERS: Final = frozenset({"asyncio", "domainstream"})


class AbandonedCalls:
    """Counts the calls of handlers that one worker has abandoned."""

    def __init__(self) -> None:
        self.count = 0
        """How many so far."""


abandoned_calls: ContextVar[AbandonedCalls | None] = ContextVar("abandoned_calls", default=None)
"""The count of the worker that a task belongs to; None outside of a worker."""


def count_abandoned_call() -> None:
    """Count one call for the worker that the current task belongs to."""
    if (calls := abandoned_calls.get()) is not None:
        calls.count += 1


async def end_handlers(*tasks: asyncio.Task[Any], limit: float | None = None) -> set[asyncio.Task[Any]]:
    """Cancel tasks that run handlers, and return those that have not ended after `limit` seconds.

    None means `CANCELLATION_LIMIT`.
    """
    limit = CANCELLATION_LIMIT if limit is None else limit
    return await cancel_and_wait(*tasks, again=limit / 2, limit=limit)


def abandon_handler(task: asyncio.Task[Any], job_id: str) -> None:
    """Abandon a task that runs a handler, whose name it bears: count it, and report it now and when it ends."""
    count_abandoned_call()
    emit(Signal.WORKER_HANDLER_ABANDONED, handler=task.get_name(), job=job_id, where=place_of_task(task))
    abandon(task)
    task.add_done_callback(partial(_ended_late, job_id))


def place_of_task(task: asyncio.Task[Any]) -> str:
    """Return the innermost line of user code at which a task waits; of any code where there is none of users."""
    frame, users_frame = None, None
    awaited: Any = task.get_coro()
    while awaited is not None:
        current = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if current is not None:
            frame = current
            if str(frame.f_globals.get("__name__")).partition(".")[0] not in _NOT_USERS:
                users_frame = frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    frame = users_frame or frame
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}" if frame else "unknown"


def _ended_late(job_id: str, task: asyncio.Task[Any]) -> None:
    emit(Signal.WORKER_HANDLER_ENDED_LATE, handler=task.get_name(), job=job_id)
