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
from domainstream.telemetry import Signal, emit
from domainstream.worker.prepared_call import name_of

MAX_THREADS: Final = 1_000
"""How many threads may exist at once, abandoned ones included; further calls wait until one is free."""

Task = Callable[[], None]
Result = tuple[Any, BaseException | None]
"""What a function returned, and what it raised instead: a future cannot hold every exception."""


class HandlerThreadPool:
    """Runs each call in a thread of its own, and reuses the threads.

    As many calls run at once as are made, so that the worker's concurrency is the only limit. The threads are daemons:
    one that never returns does not keep the process alive. They see the caller's context variables. Idle threads end
    when this object is garbage collected.
    """

    def __init__(self, name: str, *, max_threads: int = MAX_THREADS) -> None:
        """Name the threads after `name`, and have at most `max_threads` of them."""
        self._name = name
        self._free = asyncio.Semaphore(max_threads)
        # A queue per idle thread, in which it waits for its next task; None ends it.
        self._idle: list[SimpleQueue[Task | None]] = []
        weakref.finalize(self, _dismiss, self._idle)

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function` in a thread; return what it returns, or raise what it raises.

        If this is cancelled, the function runs on to its end, which is logged: a thread cannot be cancelled.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Result] = loop.create_future()
        try:
            tasks = self._idle.pop() if self._idle else self._start_thread()
        except RuntimeError:
            # The system has no thread left for us.
            self._free.release()
            raise
        tasks.put(partial(self._run_in_thread, tasks, partial(copy_context().run, function, *args), loop, ended))
        try:
            value, error = await ended
        except asyncio.CancelledError:
            # Otherwise the function had ended before this was cancelled.
            if ended.cancelled():
                emit(Signal.WORKER_THREAD_ABANDONED, handler=name_of(function))
            raise
        if isinstance(error, SystemExit):
            # A signal never raises it in a thread, so it is not meant for the process.
            raise HandlerCancelledError("the handler called sys.exit, which ends it and not the worker") from error
        if error is not None:
            raise error
        return value

    def _start_thread(self) -> SimpleQueue[Task | None]:
        tasks: SimpleQueue[Task | None] = SimpleQueue()
        threading.Thread(target=_work, args=(tasks,), name=f"handlers of {self._name}", daemon=True).start()
        return tasks

    def _run_in_thread(
        self,
        tasks: SimpleQueue[Task | None],
        call: Callable[[], Any],
        loop: asyncio.AbstractEventLoop,
        ended: asyncio.Future[Result],
    ) -> None:
        """Make the call, in the thread, and pass its result to the event loop."""
        result: Result
        try:
            result = (call(), None)
        except BaseException as error:  # noqa: BLE001 - raised again where the call was made
            result = (None, error)
        try:
            loop.call_soon_threadsafe(self._finish, tasks, ended, result)
        except RuntimeError:
            # The loop is closed.
            emit(Signal.WORKER_THREAD_LATE, thread=threading.current_thread().name)
            self._free.release()
            tasks.put(None)

    def _finish(self, tasks: SimpleQueue[Task | None], ended: asyncio.Future[Result], result: Result) -> None:
        self._idle.append(tasks)
        self._free.release()
        if not ended.done():
            ended.set_result(result)


def _work(tasks: SimpleQueue[Task | None]) -> None:
    while _run_next(tasks):
        pass


def _run_next(tasks: SimpleQueue[Task | None]) -> bool:
    # A function of its own, so that no local variable keeps the last task alive while the thread waits for the next.
    task = tasks.get()
    if task is not None:
        task()
    return task is not None


def _dismiss(idle: list[SimpleQueue[Task | None]]) -> None:
    for tasks in idle:
        tasks.put(None)
