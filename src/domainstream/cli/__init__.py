"""The command line. A command reads its options, calls a tool, prints the result, and sets the exit code."""

from collections.abc import Callable
from typing import Final

LAST_STEPS: Final[list[Callable[[int], None]]] = []
"""Called with the exit code at the end of the process, in place of what Python does there."""


def main() -> None:
    """Run the command `domainstream`."""
    try:
        import click  # noqa: F401 - a publishing service installs no command line
    except ImportError:
        from domainstream.errors import MissingExtraError

        problem = MissingExtraError("The command line", "cli")
        raise SystemExit(f"{problem}, or 'domainstream[demo]' for the demo") from None
    from domainstream.cli.main import cli

    try:
        cli(prog_name="domainstream")
    except SystemExit as end:
        for last_step in LAST_STEPS:
            last_step(end.code if isinstance(end.code, int) else 0)
        raise
