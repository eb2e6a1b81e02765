"""Threads for handlers that are plain functions.

asyncio's default executor will not do: its few threads are shared with DNS lookups and file access, and a handler that
hangs would keep the process from exiting.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from domainstream.errors import HandlerCancelledError
from domainstream.lifecycle import start_thread
from domainstream.telemetry import Signal, emit
from domainstream.worker.abandoned import count_abandoned_call
from domainstream.worker.prepared_call import name_of

MAX_THREADS: Final = 1_000
"""How many threads may exist at once, abandoned ones included; further calls wait until one is free."""

Result = tuple[Any, BaseException | None]
"""What a function returned, and what it raised instead: a future cannot hold every exception."""


class ThreadCall:
    """A call that a thread makes, and the future that waits for its result."""

    def __init__(self, function: Callable[[], Any], on_end: Callable[["Calls | None"], None]) -> None:
        """Call `function`; then call `on_end` once, with the queue of the thread, or None if the thread ends too."""
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Result] = self._loop.create_future()
        """Holds the result; cancelled when nothing waits for it any more."""
        self._function = function
        self._on_end = on_end
        self._settled = False

    def make(self, calls: "Calls") -> None:
        """Make the call in the thread that waits at `calls`, and pass on its result."""
        try:
            result: Result = (self._function(), None)
        except BaseException as error:  # noqa: BLE001 - raised again where the call was made
            result = (None, error)
        self.pass_on(calls, result)

    def pass_on(self, calls: "Calls", result: Result) -> None:
        """Pass the result to the event loop, unless that is closed."""
        try:
            self._loop.call_soon_threadsafe(self._settle, calls, result)
        except RuntimeError:
            emit(Signal.WORKER_THREAD_LATE, thread=threading.current_thread().name)
            self._on_end(None)
            calls.put(None)

    def _settle(self, calls: "Calls", result: Result) -> None:
        if self._settled:
            return
        self._settled = True
        self._on_end(calls)
        if not self.ended.done():
            self.ended.set_result(result)


Calls = SimpleQueue[ThreadCall | None]
"""Where an idle thread waits for its next call; None ends it."""


class HandlerThreadPool:
    """Runs each call in a thread of its own, and reuses the threads.

    As many calls run at once as are made, so that the worker's concurrency is the only limit. The threads are daemons:
    one that never returns does not keep the process alive. They see the caller's context variables. Idle threads end
    when this object is garbage collected.
    """

    def __init__(self, name: str, *, max_threads: int = MAX_THREADS) -> None:
        """Name the threads after `name`, and have at most `max_threads` of them."""
        self._name = f"handlers of {name}"
        self._free = asyncio.Semaphore(max_threads)
        self._idle: list[Calls] = []
        weakref.finalize(self, _dismiss, self._idle)

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function` in a thread; return what it returns, or raise what it raises.

        If this is cancelled, the function runs on to its end, which is logged: a thread cannot be cancelled.
        """
        await self._free.acquire()
        try:
            calls = self._idle.pop() if self._idle else self._start_thread()
        except RuntimeError:
            # The system has no thread left for us.
            self._free.release()
            raise
        call = ThreadCall(partial(copy_context().run, function, *args), self._on_end)
        calls.put(call)
        try:
            value, error = await call.ended
        except asyncio.CancelledError:
            # Otherwise the function had ended before this was cancelled.
            if call.ended.cancelled():
                count_abandoned_call()
                emit(Signal.WORKER_THREAD_ABANDONED, handler=name_of(function))
            raise
        if isinstance(error, SystemExit | KeyboardInterrupt):
            # A signal never raises them in a thread, so they are not meant for the process.
            exit_or_interrupt = "called sys.exit" if isinstance(error, SystemExit) else "raised KeyboardInterrupt"
            raise HandlerCancelledError(f"the handler {exit_or_interrupt}, which ends it and not the worker") from error
        if error is not None:
            raise error
        return value

    def _start_thread(self) -> Calls:
        calls: Calls = SimpleQueue()
        start_thread(partial(_work, calls), name=self._name, on_end=partial(_on_death, self._name))
        return calls

    def _on_end(self, calls: Calls | None) -> None:
        if calls is not None:
            self._idle.append(calls)
        self._free.release()


def _work(calls: Calls) -> None:
    while (call := calls.get()) is not None:
        try:
            call.make(calls)
        except BaseException as error:  # noqa: BLE001 - of our own code: another thread may raise it here at any line
            call.pass_on(calls, (None, error))
        # Otherwise this variable would keep the call alive while the thread waits for the next one.
        del call


def _on_death(name: str, error: BaseException | None) -> None:
    if error is not None:
        emit(Signal.BACKGROUND_DIED, exc=error, program=name, task="thread", reason=error)


def _dismiss(idle: list[Calls]) -> None:
    for calls in idle:
        calls.put(None)
