"""Processes beside a test, which are killed by their ids. Used by `scene`.

They are forks of one server that has loaded what they need: a new interpreter would take longer to start than most of
them live.
"""

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["domainstream.subscriber", "domainstream.worker", "domainstream.worker.inbox.sql", "bullmq"]
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
        """Whether it was killed, by itself or by others."""
        return self._process.exitcode == -signal.SIGKILL

    @property
    def ended(self) -> bool:
        """Whether it is no more."""
        return self._process.exitcode is not None

    @property
    def failed(self) -> bool:
        """Whether it ended by an error of its own."""
        return self.ended and self._process.exitcode not in (0, -signal.SIGKILL)

    def kill(self) -> None:
        """End it as a crash does, and wait until it is no more."""
        self._process.kill()
        self._process.join()

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()


def die() -> None:
    """End this process as a crash does."""
    os.kill(os.getpid(), signal.SIGKILL)


def _work(work: Callable[[Any], None], order: Any, folder: Path) -> None:
    logging.basicConfig(filename=folder / LOG, level=logging.INFO, format="%(process)d %(name)s %(message)s")
    # Its parent handles signals of its own; and errors would be mixed into the output of the tests.
    with (folder / LOG).open("ab") as log:
        os.dup2(log.fileno(), 2)
    work(order)
