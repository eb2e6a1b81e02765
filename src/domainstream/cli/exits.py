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

INTERRUPTED: Final = 130
