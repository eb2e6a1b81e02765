"""Running a program's loop once, and stopping it: the one primitive behind subscriber and worker.

A cancellation is not handed to the loop, because a loop that is cut off leaves work half done on the server. It asks
the loop to stop, as `stop` does, and is raised once the loop has ended; a second one cuts the loop off.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from domainstream.validation import raise_problems

RECANCEL_INTERVAL: Final = 0.02
"""Seconds until a task that has not ended is cancelled once more."""

Work = Callable[[], Coroutine[Any, Any, None]]


class Lifecycle:
    """Tolerates `stop` before `run`, stopping and closing twice, and closing while the loop runs.

    For one event loop.
    """

    def __init__(self, program: str) -> None:
        """Guard the loop of `program`, the class's name, which stands in errors."""
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
        again = f"this one runs already, or is closed; make a new one with {self._program}.from_url(...)"
        raise_problems(f"{self._program}.run", [again if self._used_up else None])
        self._used_up = True
        self._at_rest.clear()
        try:
            await self._to_its_end(asyncio.create_task(work(), name=self._program))
        finally:
            self._at_rest.set()

    def stop(self) -> None:
        """Ask the loop to end. Stopping twice, or before `run`, does nothing more."""
        self.stopping.set()

    async def close(self, release: Callable[[], Awaitable[None]]) -> None:
        """Stop, wait for `run` to return, and await `release()`, which must bear being called twice."""
        self._used_up = True
        self.stop()
        await self._at_rest.wait()
        await release()

    async def rest(self, seconds: float) -> None:
        """Pause; end at once when stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return

    async def until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work` and raise what it raises, or cancel it when stopped first."""
        doing, stopping = asyncio.create_task(work), asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(doing, stopping)
        if not doing.cancelled():
            doing.result()

    async def _to_its_end(self, loop: asyncio.Task[None]) -> None:
        try:
            await asyncio.shield(loop)
        except asyncio.CancelledError:
            self.stop()
            try:
                await asyncio.wait([loop])
            finally:
                await cancel_and_wait(loop)
            # The program was told to end, and did: an error of its last steps is told, not lost.
            if not loop.cancelled():
                loop.result()
            raise


async def cancel_and_wait(*tasks: asyncio.Task[Any], again: float = RECANCEL_INTERVAL) -> None:
    """Cancel tasks, again and again until each has ended; what they end with is left for others to ask.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, which redis-py sends commands with, returns a result although
    its task was cancelled in the same moment. `again` is the pause in seconds; it must leave time for what the tasks do
    on their way out.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again)
