"""Cancellation that a command of redis-py has swallowed. Used by every loop from here to the right.

On Python 3.11 `asyncio.wait_for`, which redis-py sends commands with, returns a result although its task was cancelled
in the same moment: the loop around it would go on for ever. The task still knows, and these helpers ask it.
"""

import asyncio
from typing import Any, Final

AGAIN: Final = 0.02
"""Seconds until a task that has not ended is cancelled once more."""


class Cancellation:
    """Remembers how often the current task had been cancelled when this was made."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task else 0

    def heed(self) -> None:
        """Raise `asyncio.CancelledError` if the task was cancelled since."""
        if self._task is not None and self._task.cancelling() > self._before:
            raise asyncio.CancelledError


async def cancel_and_wait(*tasks: asyncio.Task[Any], again: float = AGAIN) -> None:
    """Cancel tasks, again and again until each has ended; what they end with is left for others to ask.

    `again` is the pause in seconds; it must leave time for what the tasks do on their way out.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again)
