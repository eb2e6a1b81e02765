"""The exit codes of all commands: what they mean, and how an error becomes one, with one sentence on stderr."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Final

import click

from domainstream.cli.common.terminal import Terminal
from domainstream.errors import (
    ConfigurationError,
    DomainStreamError,
    OutboxUnavailableError,
    ServerNotFoundError,
    ServerUnavailableError,
)
from domainstream.tools.common.errors import InterruptedRunError, NotFoundError
from domainstream.tools.scaffold.errors import MisspeltError, UnknownNameError

OK: Final = 0
FAILED: Final = 1
"""The command has findings, or something did not work."""

USAGE: Final = 2
"""The options or the configuration are wrong."""

UNREACHABLE: Final = 3
"""No server or database answers."""

NOT_FOUND: Final = 4
"""The object of the command does not exist."""

PARTIAL: Final = 5
"""Only a part was done."""

SIGNAL_BASE: Final = 128
"""Shells report an end by a signal as this plus the signal's number."""

INTERRUPTED: Final = 130
"""Ctrl-C."""

PIPE_CLOSED: Final = 141
"""The reader of the output has ended, as in `... | head`; shells report SIGPIPE of other programs this way."""

_EXIT_CODES: Final = {
    NotFoundError: NOT_FOUND,
    UnknownNameError: NOT_FOUND,
    MisspeltError: USAGE,
    ConfigurationError: USAGE,
    ServerNotFoundError: UNREACHABLE,
    ServerUnavailableError: UNREACHABLE,
    OutboxUnavailableError: UNREACHABLE,
}


def exit_code_from(work: Callable[[], int | None], terminal: Terminal, *, debug: bool) -> int:
    """Call `work` and return its exit code, 0 for None, or the exit code of its error.

    An error is one sentence on stderr, and with `debug` also its traceback.
    """
    try:
        return work() or OK
    except KeyboardInterrupt:
        terminal.say("Interrupted.")
        return INTERRUPTED
    except InterruptedRunError as interrupt:
        terminal.say("Interrupted.")
        return exit_code_of(interrupt)
    except BrokenPipeError:
        # Python flushes stdout at exit, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:  # noqa: BLE001 - the border to a person, who gets a sentence
        if debug:
            traceback.print_exc()
        terminal.error(_sentence(error))
        return exit_code_of(error)


def _sentence(error: Exception) -> str:
    if isinstance(error, DomainStreamError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"the operating system reports: {error.strerror}"
    # The message of an unexpected error may quote data.
    return f"this is a bug in domainstream: {type(error).__name__}. To see where, add: --debug"


def exit_code_of(error: Exception) -> int:
    """Return the exit code that reports `error` to scripts."""
    if isinstance(error, InterruptedRunError):
        return SIGNAL_BASE + error.signal_number
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), FAILED)
