"""The exit codes of all commands, and the table that maps errors to them."""

from typing import Final

from domainstream.errors import ConfigurationError, ServerNotFoundError, ServerUnavailableError
from domainstream.tools.common.errors import InterruptedRunError, NotFoundError
from domainstream.tools.scaffold.errors import MisspeltError, UnknownNameError

OK: Final = 0
FAILED: Final = 1
"""The command has findings, or something did not work."""

USAGE: Final = 2
"""The options or the configuration are wrong."""

UNREACHABLE: Final = 3
"""No server answers."""

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
}


def exit_code_of(error: Exception) -> int:
    """Return the exit code that reports `error` to scripts."""
    if isinstance(error, InterruptedRunError):
        return SIGNAL_BASE + error.signal_number
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), FAILED)
