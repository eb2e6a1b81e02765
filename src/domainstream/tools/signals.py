"""Ctrl-C and SIGTERM: they end the work, never the cleaning up after it."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from domainstream.tools.demo.cancelling import cancel_all

ResultT = TypeVar("ResultT")


class InterruptedRunError(Exception):
    """Somebody wants the run to end."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        """Which signal said so."""
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}")


class Interrupts:
    """From its making until the event loop ends, SIGINT and SIGTERM end the work that it guards, and nothing else."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._arrived = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)

    async def guard(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return what `work` returns, or cancel it at a signal and raise `InterruptedRunError`."""
        task = asyncio.create_task(work)
        arrived = asyncio.create_task(self._arrived.wait())
        await asyncio.wait({task, arrived}, return_when=asyncio.FIRST_COMPLETED)
        await cancel_all([arrived, task])
        if task.cancelled():
            raise InterruptedRunError(self._numbers[0])
        return task.result()

    def _on_signal(self, number: int) -> None:
        self._numbers.append(number)
        self._arrived.set()
