"""HandlerThreadPool for handlers that are plain functions.

Not asyncio's default executor: its few threads are shared with name look-ups and file access, and a handler that hangs
would keep the process from ending.
"""

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, NoReturn

from domainstream.errors import HandlerCancelledError
from domainstream.worker.prepared_call import name_of

log = logging.getLogger("domainstream.worker")

MOST_THREADS: Final = 1_000
"""At most so many at once, those included that nobody waits for any more; further calls wait for one to be free."""

Step = Callable[[], None]


class HandlerThreadPool:
    """Runs functions, each in a thread of its own for the time of the call; the threads are used again.

    As many calls run at once as are made, so that the worker's concurrency alone is the limit. The threads are daemons:
    one that never returns keeps no process alive. They know the caller's context variables. Idle ones end when this
    object goes.
    """

    def __init__(self, name: str, *, most: int = MOST_THREADS) -> None:
        """Name the threads after `name`, and have at most `most` of them."""
        self._name = name
        self._free = asyncio.Semaphore(most)
        self._idle: list[SimpleQueue[Step | None]] = []
        weakref.finalize(self, _dismiss, self._idle)

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function` in a thread; return what it returns, or raise what it raises.

        When this is cancelled, the thread cannot be: it goes on to its end, and the log says so.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Callable[[], Any]] = loop.create_future()
        try:
            steps = self._idle.pop() if self._idle else self._start()
        except RuntimeError:
            # The machine has no thread left for us.
            self._free.release()
            raise
        steps.put(partial(self._step, steps, partial(copy_context().run, function, *args), loop, ended))
        try:
            return (await ended)()
        except asyncio.CancelledError:
            if ended.cancelled():
                log.warning("nobody waits any longer for %s, but its thread runs on", name_of(function))
            raise

    def _start(self) -> SimpleQueue[Step | None]:
        steps: SimpleQueue[Step | None] = SimpleQueue()
        threading.Thread(target=_work, args=(steps,), name=f"handlers of {self._name}", daemon=True).start()
        return steps

    def _step(
        self,
        steps: SimpleQueue[Step | None],
        call: Callable[[], Any],
        loop: asyncio.AbstractEventLoop,
        ended: asyncio.Future[Callable[[], Any]],
    ) -> None:
        """Call, in the thread, and tell the event loop how it went."""
        answer = _answer(call)
        try:
            loop.call_soon_threadsafe(self._end, steps, ended, answer)
        except RuntimeError:
            log.debug("a handler ended after its event loop, in thread %s", threading.current_thread().name)
            self._free.release()
            steps.put(None)

    def _end(
        self, steps: SimpleQueue[Step | None], ended: asyncio.Future[Callable[[], Any]], answer: Callable[[], Any]
    ) -> None:
        self._idle.append(steps)
        self._free.release()
        if not ended.done():
            ended.set_result(answer)


def _answer(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that returns or raises what `call` does: a future cannot hold every exception."""
    try:
        return partial(_identity, call())
    except BaseException as error:  # noqa: BLE001 - raised again where the call was made
        return partial(_raise, error)


def _identity(value: Any) -> Any:
    return value


def _raise(error: BaseException) -> NoReturn:
    if isinstance(error, SystemExit):
        # In a thread it never comes from a signal: the process is not meant.
        raise HandlerCancelledError("the handler called sys.exit, which ends it and not the worker") from error
    raise error


def _work(steps: SimpleQueue[Step | None]) -> None:
    while _do_next(steps):
        pass


def _do_next(steps: SimpleQueue[Step | None]) -> bool:
    # A function of its own: while the thread waits for the next step, nothing holds on to the last one.
    step = steps.get()
    if step is not None:
        step()
    return step is not None


def _dismiss(idle: list[SimpleQueue[Step | None]]) -> None:
    for steps in idle:
        steps.put(None)
