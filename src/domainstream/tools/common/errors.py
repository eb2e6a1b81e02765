"""Errors that several tools raise. The command line maps each to an exit code."""

import signal
from collections.abc import Iterable

from domainstream.errors import DomainStreamError
from domainstream.tools.common.formatting import did_you_mean


class NotFoundError(DomainStreamError):
    """The object of a command does not exist."""

    @classmethod
    def of(cls, what: str, name: str, known: Iterable[str], *, where: str, look: str) -> "NotFoundError":
        """Name what is missing and the closest `known` name; `look` is the command that lists what exists."""
        return cls(f"there is no {what} {name} {where}.{did_you_mean(name, known)} To list all, run: {look}")


class InterruptedRunError(Exception):
    """A signal interrupted the run."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        """The signal that interrupted it."""
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}")
