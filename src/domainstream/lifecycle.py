"""Runs a program's loop once and stops it gracefully; the one primitive behind subscriber and worker.

Cancelling `run` triggers a graceful stop, so that no half-finished work is left on the server; the `CancelledError` is
raised again once the loop has exited. A second cancellation aborts the loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from domainstream.validation import raise_problems

RECANCEL_INTERVAL: Final = 0.02
"""Seconds until a task that is still running is cancelled again."""

Work = Callable[[], Coroutine[Any, Any, None]]


class Lifecycle:
    """Runs one loop, and makes it safe to stop before running, to stop or close twice, and to close while running.

    For one event loop.
    """

    def __init__(self, program: str) -> None:
        """Guard the loop of `program`, a class name for error messages."""
        self.stopping = asyncio.Event()
        """Set once the loop should end; every pause of the loop must end with it."""
        self._program = program
        self._used_up = False
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    async def run(self, work: Work) -> None:
        """Await `work()`, which must return soon after `stopping` is set; raise what it raises.

        Raises `ConfigurationError` when called a second time, or after `close`.
        """
        problem = f"it is already running, or closed; create a new one with {self._program}.from_url(...)"
        raise_problems(f"{self._program}.run", [problem if self._used_up else None])
        self._used_up = True
        self._at_rest.clear()
        loop = asyncio.create_task(work(), name=self._program)
        try:
            await asyncio.shield(loop)
        except asyncio.CancelledError:
            self.stop()
            try:
                await asyncio.wait([loop])
            finally:
                await cancel_and_wait(loop)
            # An error of the loop's last steps must not be hidden by the cancellation.
            if not loop.cancelled():
                loop.result()
            raise
        finally:
            self._at_rest.set()

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


async def cancel_and_wait(*tasks: asyncio.Task[Any], again: float = RECANCEL_INTERVAL) -> None:
    """Cancel tasks repeatedly until each has ended; their results and errors are left to the caller.

    One cancellation is not enough: on Python 3.11, `asyncio.wait_for`, which redis-py uses to send commands, may return
    a result although its task was cancelled at the same moment. `again` is the pause in seconds between cancellations;
    it must be long enough for the tasks to clean up.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again)
