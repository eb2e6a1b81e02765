"""Asks for confirmation before data is destroyed or added."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from domainstream.errors import DomainStreamError


class DeclinedError(DomainStreamError):
    """The user declined."""


def confirm(question: str, *, yes: bool) -> None:
    """Return once the user has agreed, or at once with `yes`.

    Raises `DeclinedError` when the user declines, and a usage error when stdin is not a terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Confirmation needs a terminal; to agree, add: --yes")
    try:
        with _interrupts_at_once():
            agreed = click.confirm(question, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    if not agreed:
        raise DeclinedError("nothing was done")


@contextmanager
def _interrupts_at_once() -> Iterator[None]:
    # asyncio defers Ctrl-C until the coroutine yields, which it does not do while it waits for an answer.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
