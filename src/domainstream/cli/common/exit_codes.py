"""What every command's exit code means."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
"""There are findings, or something did not work."""

USAGE: Final = 2
UNREACHABLE: Final = 3
"""No server answers."""

NOT_FOUND: Final = 4
"""What was asked for does not exist."""

PARTIAL: Final = 5
"""Some of it was done."""

SIGNAL_BASE: Final = 128
"""Shells report the end by a signal as this plus its number."""

INTERRUPTED: Final = 130
"""Ctrl-C."""

PIPE_CLOSED: Final = 141
"""Whoever read the output has ended, as in `... | head`; what shells report of other programs then."""
