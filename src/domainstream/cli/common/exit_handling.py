"""Turns the end of a command into an exit code, and every error into one sentence on stderr."""

import os
import sys
import traceback
from collections.abc import Callable

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import DomainStreamError
from domainstream.tools.common.errors import InterruptedRunError


def exit_code_from(work: Callable[[], int | None], terminal: Terminal, *, debug: bool) -> int:
    """Call `work` and return its exit code, 0 for None, or the exit code of its error.

    An error prints a traceback only with `debug`.
    """
    try:
        return work() or exits.OK
    except KeyboardInterrupt:
        terminal.say("Interrupted.")
        return exits.INTERRUPTED
    except InterruptedRunError as interrupt:
        terminal.say("Interrupted.")
        return exits.exit_code_of(interrupt)
    except BrokenPipeError:
        # Python flushes stdout at exit, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.PIPE_CLOSED
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:  # noqa: BLE001 - the border to a person, who gets a sentence
        if debug:
            traceback.print_exc()
        terminal.error(_sentence(error))
        return exits.exit_code_of(error)


def _sentence(error: Exception) -> str:
    if isinstance(error, DomainStreamError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"the operating system reports: {error.strerror}"
    # The message of an unexpected error may quote data.
    return f"this is a bug in domainstream: {type(error).__name__}. To see where, add: --debug"
