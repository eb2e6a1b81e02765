"""Composes what surrounds a handler: middlewares, the time limit, and the thread of a plain function.

The order, from outside to inside, is: middlewares as given, time limit, thread, handler. The limit is inside so that a
middleware sees `HandlerTimeoutError` like any other error, and may wait, as for a rate limiter, without using it up.
"""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from domainstream.errors import HandlerTimeoutError
from domainstream.lifecycle import cancel_and_wait
from domainstream.worker.prepared_call import Middleware, Next, PreparedCall, call_handler, raise_outcome
from domainstream.worker.thread_pool import HandlerThreadPool

RECANCEL_INTERVAL: Final = 1.0
"""Seconds between two cancellations of a handler that exceeded its time limit: time for its own clean-up."""


def handler_chain(
    handler: Callable[..., Any],
    *,
    threads: HandlerThreadPool,
    time_limit: timedelta | None,
    middlewares: Sequence[Middleware],
) -> Next:
    """Return what runs a call of `handler`; composed once at registration, so that a job pays only for what is set."""
    chain = call_handler if _is_async(handler) else in_thread(threads)
    if time_limit is not None:
        chain = around(time_limited(time_limit), chain)
    for middleware in reversed(middlewares):
        chain = around(middleware, chain)
    return chain


def around(middleware: Middleware, call_next: Next) -> Next:
    """Return `call_next` with `middleware` around it."""
    return lambda call: middleware(call, call_next)


def time_limited(limit: timedelta) -> Middleware:
    """Return a middleware that cancels a call after `limit` and raises `HandlerTimeoutError`.

    It repeats the cancellation until the call has ended. `asyncio.timeout` cancels only once, and a cancellation can
    get lost, as in `asyncio.wait_for` on Python 3.11.
    """

    async def run_within_limit(call: PreparedCall, call_next: Next) -> None:
        task = asyncio.ensure_future(call_next(call))
        # If this is cancelled, no one retrieves the error; asyncio would log it together with its message.
        task.add_done_callback(_retrieve_error)
        try:
            await asyncio.wait([task], timeout=limit.total_seconds())
            in_time = task.done()
        finally:
            await cancel_and_wait(task, again=RECANCEL_INTERVAL)
        try:
            task.result()
        except asyncio.CancelledError as cancelled:
            if in_time:
                raise
            raise HandlerTimeoutError(
                f"{call.handler_name} took longer than its time limit of {limit.total_seconds():g} s"
            ) from cancelled

    return run_within_limit


def in_thread(threads: HandlerThreadPool) -> Next:
    """Return what calls plain functions in `threads`."""

    async def call_in_thread(call: PreparedCall) -> None:
        returned = await threads.run(call.handler, call.event, call.context)
        # A decorator may hide that the handler is a coroutine function: its coroutine belongs into the event loop.
        raise_outcome(await returned if inspect.isawaitable(returned) else returned)

    return call_in_thread


def _retrieve_error(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()


def _is_async(handler: Any) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004 - not whether it can be called
