"""Lets SIGINT and SIGTERM cancel the guarded work, but never the cleanup after it."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from domainstream.lifecycle import cancel_and_wait
from domainstream.tools.common.errors import InterruptedRunError

RECANCEL_INTERVAL: Final = 1.0
"""Seconds that interrupted work has for its own cleanup before it is cancelled again."""

ResultT = TypeVar("ResultT")


class Interrupts:
    """Once created, SIGINT and SIGTERM interrupt only the work that it guards, until the event loop ends."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._arrived = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)

    async def guard(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return the result of `work`; on a signal, cancel it and raise `InterruptedRunError`."""
        task = asyncio.create_task(work)
        arrived = asyncio.create_task(self._arrived.wait())
        await asyncio.wait({task, arrived}, return_when=asyncio.FIRST_COMPLETED)
        await cancel_and_wait(arrived, task, again=RECANCEL_INTERVAL)
        if task.cancelled():
            raise InterruptedRunError(self._numbers[0])
        return task.result()

    def _on_signal(self, number: int) -> None:
        self._numbers.append(number)
        self._arrived.set()
