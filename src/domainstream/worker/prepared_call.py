"""The call of a handler: a decoded job that is ready to run, and what surrounds it.

From outside to inside, that is: middlewares as given, time limit, the thread of a plain function, handler. The limit is
inside so that a middleware sees `HandlerTimeoutError` like any other error, and may wait, as for a rate limiter,
without using it up.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from msgspec import Struct

from domainstream.errors import ConfigurationError, HandlerTimeoutError
from domainstream.event import BaseEvent, correlation_scope
from domainstream.telemetry import Signal, emit
from domainstream.worker.abandoned import abandon_handler, end_handlers
from domainstream.worker.context import EventContext
from domainstream.worker.outcomes import Done, RetryLater, instance_of

Next = Callable[["PreparedCall"], Awaitable[None]]
"""The rest of a call, seen from a middleware: the middlewares inside of it, and at last the handler."""

RunInThread = Callable[..., Awaitable[Any]]
"""Calls a function with arguments in a thread, and returns what it returns."""

Middleware = Callable[["PreparedCall", Next], Awaitable[None]]
"""A callable around the calls of handlers.

It must await `call_next(call)` for the handler to run, and may do anything before and after that::

    async def measured(call: PreparedCall, call_next: Next) -> None:
        started = time.perf_counter()
        try:
            await call_next(call)
        finally:
            durations.labels(call.handler_name).observe(time.perf_counter() - started)
"""

_EXAMPLE: Final = "@consumer.on(SomethingHappened)"


class HandlerCall:
    """Calls one handler with event and context, and decides by what it returns; the innermost part of its chain."""

    def __init__(self, run_in_thread: RunInThread | None = None) -> None:
        """Call a coroutine function, or a plain function by `run_in_thread`."""
        self._run_in_thread = run_in_thread
        self._reported = False

    async def __call__(self, call: "PreparedCall") -> None:
        """Return when the job is done; raise its outcome otherwise.

        A returned exception counts as a raised one: a forgotten `raise` must not complete the job. A returned awaitable
        is awaited: a decorator may hide that the handler is a coroutine function, and an `await` may be forgotten. Any
        other value completes the job, because the work was done, and is reported once.
        """
        if self._run_in_thread is None:
            returned = await call.handler(call.event, call.context)
        else:
            returned = await self._run_in_thread(call.handler, call.event, call.context)
        while returned is not None and inspect.isawaitable(returned):
            returned = await returned
        if returned is None or isinstance(returned := instance_of(returned), Done):
            return
        if returned is RetryLater:
            self._report(call, "the class RetryLater", "the attempt fails", "return RetryLater(30)")
            problem = "it returned the class RetryLater; use `return RetryLater(30)`"
            raise ConfigurationError(f"The handler {call.handler_name} cannot be used:", [problem])
        if isinstance(returned, Exception) or (isinstance(returned, type) and issubclass(returned, Exception)):
            raise returned
        fix = 'return None, RetryLater(30) or GiveUp("why")'
        self._report(call, type(returned).__name__, "the job is completed", fix)

    def _report(self, call: "PreparedCall", returned: str, next_step: str, fix: str) -> None:
        if not self._reported:
            self._reported = True
            emit(
                Signal.WORKER_VALUE_RETURNED,
                handler=call.handler_name,
                event=call.event_name,
                returned=returned,
                next=next_step,
                fix=fix,
            )


class PreparedCall(Struct, frozen=True, gc=False):
    """A decoded job with the handler it goes to."""

    event: BaseEvent[Any]
    """The decoded event."""

    context: EventContext
    """The job's context, which the handler gets beside the event."""

    handler: Callable[..., Any]
    """The handler, as it was registered."""

    chain: Next = HandlerCall()
    """The middlewares around the handler, composed when it was registered. Defaults to the handler alone, which must be
    a coroutine function.
    """

    @property
    def event_name(self) -> str:
        """The name of the event's class."""
        return type(self.event).__name__

    @property
    def handler_name(self) -> str:
        """The name of the handler's function."""
        return name_of(self.handler)

    async def run(self) -> None:
        """Run middlewares and handler; raise what they raise.

        The event is the cause of every event made meanwhile, and its ids are in every log record.
        """
        with correlation_scope(correlation_id=self.context.correlation_id, causation_id=self.event.id):
            await self.chain(self)


def handler_chain(
    handler: Callable[..., Any],
    *,
    run_in_thread: RunInThread,
    time_limit: timedelta | None,
    middlewares: Sequence[Middleware],
) -> Next:
    """Return what runs a call of `handler`; composed once at registration, so that a job pays only for what is set."""
    # An object whose `__call__` is async counts as well.
    is_async = any(map(inspect.iscoroutinefunction, (handler, getattr(handler, "__call__", None))))  # noqa: B004
    chain: Next = HandlerCall(None if is_async else run_in_thread)
    if time_limit is not None:
        chain = around(partial(_call_within_limit, time_limit.total_seconds()), chain)
    for middleware in reversed(middlewares):
        chain = around(middleware, chain)
    return chain


def around(middleware: Middleware, call_next: Next) -> Next:
    """Return `call_next` with `middleware` around it."""
    return lambda call: middleware(call, call_next)


async def _call_within_limit(seconds: float, call: PreparedCall, call_next: Next) -> None:
    """Cancel a call after `seconds` and raise `HandlerTimeoutError`, also if the call does not end.

    `asyncio.timeout` would not do: it cancels only once, and waits for a call that ignores it.
    """
    task = asyncio.create_task(_awaited(call_next(call)), name=call.handler_name)
    # If this is cancelled, no one else retrieves the error; asyncio would log it together with its message.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait([task], timeout=seconds)
        in_time = task.done()
    finally:
        try:
            await end_handlers(task)
        finally:  # a second cancellation by the worker, which does not wait any longer
            ended = task.done()
            if not ended:
                abandon_handler(task, call.context.job_id)
    too_long = f"{call.handler_name} took longer than its time limit of {seconds:g} s"
    if not ended:
        raise HandlerTimeoutError(
            f"{too_long} and did not end when it was cancelled, so it runs on; let it raise asyncio.CancelledError"
        )
    try:
        task.result()
    except asyncio.CancelledError as cancelled:
        if in_time:
            raise
        raise HandlerTimeoutError(too_long) from cancelled


async def _awaited(call: Awaitable[None]) -> None:
    await call


def name_of(function: object) -> str:
    """Return the name of a handler or middleware."""
    return str(getattr(function, "__name__", function))


def event_class_problem(given: object) -> str | None:
    """Say what is wrong with an argument of `@consumer.on`; None for an event class."""
    if isinstance(given, type) and issubclass(given, BaseEvent):
        return None
    if get_origin(given) in (Union, UnionType):
        classes = ", ".join(name_of(member) for member in get_args(given))
        return f"{given} is a union, not event classes; use @consumer.on({classes})"
    if isinstance(given, type) or not callable(given):
        return f"{given!r} is not an event class; use {_EXAMPLE} with a subclass of BaseEvent"
    return f"{name_of(given)!r} is a function, not an event class; use {_EXAMPLE} above it"


def handler_problem(handler: Any) -> str | None:
    """Say why `handler` cannot be called with an event and a context; None when it can."""
    return _signature_problem(
        handler, "an event and a context", f"async def {name_of(handler)}(event, context) -> None: ..."
    )


def middleware_problem(middleware: Any) -> str | None:
    """Say why `middleware` cannot be called with a call and the rest of it; None when it can."""
    name = name_of(middleware)
    problem = _signature_problem(middleware, "a call and call_next", f"async def {name}(call, call_next) -> None: ...")
    return None if problem is None else f"middleware {name!r}: {problem}"


def _signature_problem(function: Any, arguments: str, example: str) -> str | None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "it yields, so calling it would do nothing; remove the yield"
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        return f"it cannot take {arguments}: {error}; use {example}"
    except ValueError:
        # Some functions written in C do not reveal their parameters.
        return None
    return None
