"""Asks before something is destroyed."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from domainstream.cli.common.errors import DeclinedError


def ask(question: str, *, yes: bool) -> None:
    """Return once `question` is answered with yes, or need not be asked.

    Raises `DeclinedError` for no, and a usage error where nobody is there to answer.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here; to agree, add: --yes")
    try:
        with _interrupts_at_once():
            agreed = click.confirm(question, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    if not agreed:
        raise DeclinedError("nothing was done")


@contextmanager
def _interrupts_at_once() -> Iterator[None]:
    # asyncio holds Ctrl-C back until the coroutine yields, which it does not while it waits for an answer.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
