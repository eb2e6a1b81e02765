"""Processes beside a test, which are killed by their ids.

They are forked from one server process that has imported what they need, because starting an interpreter would take
longer than most of them live.
"""

import logging
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *("domainstream.subscriber", "domainstream.worker", "domainstream.worker.inbox.sql", "bullmq"),
        *("domainstream.outbox", "sqlalchemy.ext.asyncio", "aiosqlite", "asyncpg", "psycopg"),
    ]
)

LOG: Final = "log"
"""The file in the ledger's folder that all children of a test log to."""

OrderT = TypeVar("OrderT")


class Child:
    """A running process."""

    def __init__(self, work: Callable[[OrderT], None], order: OrderT, folder: Path) -> None:
        """Run `work(order)` and log to `folder`."""
        self._process = _CONTEXT.Process(target=_work, args=(work, order, folder), daemon=True)
        self._process.start()

    @property
    def was_killed(self) -> bool:
        """Whether it was killed, by itself or by the test."""
        return self._process.exitcode == -signal.SIGKILL

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.exitcode is not None

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.ended and self._process.exitcode not in (0, -signal.SIGKILL)

    def kill(self) -> None:
        """Kill it, and wait until it has ended."""
        self._process.kill()
        self._process.join()

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self._process.terminate()

    @property
    def is_suspended(self) -> bool:
        """Whether it sleeps until `resume`."""
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(self._process.pid)], check=False, capture_output=True)
        return state.stdout.startswith(b"T")

    def suspend(self) -> None:
        """Stop it where it is, as a frozen virtual machine does, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it was."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def die() -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def fall_asleep() -> None:
    """Suspend this process until SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def _work(work: Callable[[Any], None], order: Any, folder: Path) -> None:
    logging.basicConfig(filename=folder / LOG, level=logging.INFO, format="%(process)d %(name)s %(message)s")
    # Its parent handles signals of its own; and errors would be mixed into the output of the tests.
    with (folder / LOG).open("ab") as log:
        os.dup2(log.fileno(), 2)
    work(order)
