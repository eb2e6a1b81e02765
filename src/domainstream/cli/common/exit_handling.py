"""How a command ends: every error becomes a sentence and an exit code, and a traceback only where it is wanted."""

import os
import sys
import traceback
from collections.abc import Callable

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.errors import exit_code_of
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import DomainStreamError


def end_well(work: Callable[[], int | None], terminal: Terminal, *, debug: bool) -> int:
    """Do `work` and return the exit code: what it returns, 0 for None, or that of its error."""
    try:
        return work() or exits.OK
    except KeyboardInterrupt:
        terminal.say("Interrupted.")
        return exits.INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return exits.PIPE_CLOSED
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:  # noqa: BLE001 - the border to a person, who gets a sentence
        if debug:
            traceback.print_exc()
        return _told(error, terminal)


def _told(error: Exception, terminal: Terminal) -> int:
    if isinstance(error, DomainStreamError):
        terminal.error(str(error))
        return exit_code_of(error)
    if isinstance(error, OSError) and error.strerror:
        terminal.error(f"the operating system says: {error.strerror}")
        return exits.FAILED
    # Its message may quote data.
    terminal.error(f"this is a mistake in domainstream: {type(error).__name__}. To see where, add: --debug")
    return exits.FAILED


def _forget_stdout() -> None:
    # Python flushes stdout at its end, and would complain there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
