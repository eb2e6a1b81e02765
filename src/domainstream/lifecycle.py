"""Runs a program once, watches what it does in the background, and ends it: the primitive behind subscriber and worker.

*Stopping.* Cancelling `run` triggers a graceful stop, so that no half-finished work is left on the server; the
`CancelledError` is raised again once the loop has exited. A cancellation while the program is stopping aborts it.

*Background.* A program that lost one of its tasks or threads must not go on as if it were whole: a worker whose lock
renewer is dead runs jobs twice. So tasks and threads are started here and watched. One that dies is reported
(`background.died`), makes `health` fail, and ends the program with its error.

*Limits.* Code of users may ignore its cancellation. Nothing waits for it longer than a limit: then it is abandoned.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from domainstream.errors import BackgroundTaskError
from domainstream.telemetry import Signal, emit
from domainstream.text import described
from domainstream.validation import raise_problems

RECANCEL_INTERVAL: Final = 0.02
"""Seconds until a task that is still running is cancelled again."""

ABORT_LIMIT: Final = 5.0
"""Seconds that an aborted loop has to let go of its work; then it is abandoned."""

Work = Callable[[], Coroutine[Any, Any, None]]

_abandoned: Final[set[asyncio.Task[Any]]] = set()


class Lifecycle:
    """Runs one loop, and makes it safe to stop before running, to stop or close twice, and to close while running.

    For one event loop.
    """

    def __init__(self, program: str) -> None:
        """Guard the loop of `program`, a class name for error messages."""
        self.stopping = asyncio.Event()
        """Set once the loop should end; every pause of the loop must end with it."""
        self.problem = ""
        """Which task or thread in the background has died, and why; empty while all are well."""
        self._program = program
        self._used_up = False
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._loop: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    @property
    def is_running(self) -> bool:
        """Whether `run` has been called and has not returned yet."""
        return not self._at_rest.is_set()

    async def run(self, work: Work) -> None:
        """Await `work()`, which must return soon after `stopping` is set; raise what it raises.

        Raises the error of a task or thread in the background that died, and `ConfigurationError` when called a second
        time, or after `close`.
        """
        problem = f"it is already running, or closed; create a new one with {self._program}.from_url(...)"
        raise_problems(f"{self._program}.run", [problem if self._used_up else None])
        self._used_up = True
        self._at_rest.clear()
        self._loop = loop = asyncio.create_task(work(), name=self._program)
        try:
            await asyncio.shield(loop)
        except asyncio.CancelledError:
            graceful = not self.stopping.is_set()
            self.stop()
            if not loop.done():
                await self._end(loop, graceful=graceful)
            # An error of the loop's last steps must not be hidden by the cancellation.
            if loop.done() and not loop.cancelled():
                loop.result()
            if self._failure is None:
                raise
        finally:
            self._at_rest.set()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ask the loop to end. May be called before `run`, and more than once."""
        self.stopping.set()

    async def close(self, release: Callable[[], Awaitable[None]] | None = None) -> None:
        """Stop, wait for `run` to return, then await `release()` if given, which must tolerate a second call."""
        self._used_up = True
        self.stop()
        await self._at_rest.wait()
        if release is not None:
            await release()

    async def rest(self, seconds: float) -> None:
        """Pause; end at once when stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return

    def start(self, work: Coroutine[Any, Any, None], *, name: str, once: bool = False) -> asyncio.Task[None]:
        """Start a task in the background, which dies if it fails, or if it ends before the program stops.

        With `once` it may end at any time. `name` is a noun, as `lock renewer`, for logs and `health`.
        """
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(lambda ended: self._on_task_end(ended, once=once))
        return task

    def start_thread(self, work: Callable[[], None], *, name: str) -> threading.Thread:
        """Start a daemon thread in the background; the same rules apply to it as to a task."""
        loop = asyncio.get_running_loop()

        def on_end(error: BaseException | None) -> None:
            try:
                loop.call_soon_threadsafe(self._on_end, name, error)
            except RuntimeError:  # the event loop is closed: nothing is left to be stopped
                if error is not None:
                    emit(Signal.BACKGROUND_DIED, exc=error, program=self._program, task=name, reason=error)

        return start_thread(work, name=name, on_end=on_end)

    async def _end(self, loop: asyncio.Task[None], *, graceful: bool) -> None:
        """End the loop: gracefully, but for `ABORT_LIMIT` seconds at most once it is aborted."""
        # Whoever cancels every task, as `asyncio.run` does at its end, has aborted the loop already.
        aborted = loop.cancelling() > 0
        if aborted or graceful:
            with suppress(asyncio.CancelledError):
                await asyncio.wait([loop], timeout=ABORT_LIMIT if aborted else None)
            if loop.done():
                return
        # A task of its own, so that further cancellations neither cut it short nor prolong it.
        ending = asyncio.create_task(cancel_and_wait(loop, again=ABORT_LIMIT / 2, limit=ABORT_LIMIT))
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError:
                continue
        if not loop.done():
            abandon(loop)

    def _on_task_end(self, task: asyncio.Task[None], *, once: bool) -> None:
        if task.cancelled():
            if not self.stopping.is_set():
                problem = f"the {task.get_name()} was cancelled by other code, although {self._program} runs"
                self._died(task.get_name(), BackgroundTaskError(problem))
        elif (error := task.exception()) is not None or not once:
            self._on_end(task.get_name(), error)

    def _on_end(self, name: str, error: BaseException | None) -> None:
        if error is not None:
            self._died(name, error)
        elif not self.stopping.is_set():
            self._died(name, BackgroundTaskError(f"the {name} ended, although {self._program} runs"))

    def _died(self, name: str, error: BaseException) -> None:
        emit(Signal.BACKGROUND_DIED, exc=error, program=self._program, task=name, reason=error)
        if self._failure is None:
            self._failure, self.problem = error, f"the {name} has died: {described(error)}"
        self.stop()
        if self._loop is not None:
            self._loop.cancel()


def start_thread(
    work: Callable[[], None], *, name: str, on_end: Callable[[BaseException | None], None]
) -> threading.Thread:
    """Run `work` in a daemon thread, which calls `on_end` with the error that ended it, or None.

    Raises `RuntimeError` when the system has no thread left.
    """

    def run() -> None:
        failure = None
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - reported by whoever waits for the thread's end
            failure = error
        on_end(failure)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


async def cancel_and_wait(
    *tasks: asyncio.Task[Any], again: float = RECANCEL_INTERVAL, limit: float = float("inf")
) -> set[asyncio.Task[Any]]:
    """Cancel tasks repeatedly until each has ended; their results and errors are left to the caller.

    One cancellation is not enough: on Python 3.11, `asyncio.wait_for`, which redis-py uses to send commands, may return
    a result although its task was cancelled at the same moment. `again` is the pause in seconds between cancellations;
    it must be long enough for the tasks to clean up.

    Return the tasks that have not ended after `limit` seconds. Code of users may never end: give it a limit.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + limit
    pending = {task for task in tasks if not task.done()}
    while pending and (left := deadline - now()) > 0:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=min(again, left))
    return pending


def abandon(task: asyncio.Task[Any]) -> None:
    """Let a task run on that does not end: nothing waits for it any more, and what becomes of it is ignored.

    `asyncio.run` would wait for it too, without limit, so asyncio is made to forget it.
    """
    _abandoned.add(task)
    task.add_done_callback(_forget)
    asyncio.tasks._unregister_task(task)  # noqa: SLF001 - documented in "Extending asyncio"
    setattr(task, "_log_destroy_pending", False)  # noqa: B010 - as asyncio.gather does; typeshed does not know it


def abandoned_tasks() -> int:
    """Return how many abandoned tasks run on in this process."""
    return len(_abandoned)


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it together with its message
