"""Calls a handler: in the event loop or in a thread, for no longer than it may.

The event that is handled is the cause of what is made and logged meanwhile.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final

from domainstream.errors import HandlerTimeoutError
from domainstream.event import BaseEvent, correlation_scope
from domainstream.lifecycle import cancel_and_wait
from domainstream.worker.context import EventContext
from domainstream.worker.outcomes import GiveUp, RetryLater
from domainstream.worker.prepared_call import name_of
from domainstream.worker.thread_pool import HandlerThreadPool

RECANCEL_INTERVAL: Final = 1.0
"""Seconds between two cancellations of a handler that took too long: time for what it does on its way out."""


class HandlerInvoker:
    """A handler as a consumer calls it; raises what it raises."""

    def __init__(
        self, handler: Callable[..., Any], *, threads: HandlerThreadPool, time_limit: timedelta | None
    ) -> None:
        """Call `handler`, in one of `threads` unless it is a coroutine function, for at most `time_limit`."""
        self.handler = handler
        """The function as it was registered."""
        self._time_limit = time_limit
        self._start = handler if _is_async(handler) else partial(_in_thread, threads, handler)

    async def __call__(self, event: BaseEvent[Any], context: EventContext) -> None:
        """Call the handler.

        Raises `HandlerTimeoutError` when it took too long. It was cancelled then; a plain function runs on in its
        thread.
        """
        with correlation_scope(correlation_id=context.correlation_id, causation_id=event.id):
            work: Awaitable[Any] = self._start(event, context)
            answer = await (work if self._time_limit is None else self._within(self._time_limit, work))
        if isinstance(answer, RetryLater | GiveUp):
            raise answer

    async def _within(self, limit: timedelta, work: Awaitable[Any]) -> Any:
        """Await `work`; once it took too long, cancel it again and again until it has ended.

        Not `asyncio.timeout`, which cancels once: the cancellation can get lost, as in `asyncio.wait_for` on 3.11.
        """
        task = asyncio.ensure_future(work)
        # Who is cancelled meanwhile does not ask for the result; asyncio must not log it, message and all.
        task.add_done_callback(_look_at)
        try:
            await asyncio.wait([task], timeout=limit.total_seconds())
            in_time = task.done()
        finally:
            await cancel_and_wait(task, again=RECANCEL_INTERVAL)
        try:
            return task.result()
        except asyncio.CancelledError as cancelled:
            if in_time:
                raise
            raise HandlerTimeoutError(
                f"{name_of(self.handler)} took longer than its time limit of {limit.total_seconds():g} s"
            ) from cancelled


def _look_at(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _is_async(handler: Any) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004 - not whether it can be called


async def _in_thread(
    threads: HandlerThreadPool, handler: Callable[..., Any], event: BaseEvent[Any], context: EventContext
) -> Any:
    """Await here what a function returns that only wraps a coroutine function."""
    answer = await threads.run(handler, event, context)
    return await answer if inspect.isawaitable(answer) else answer
