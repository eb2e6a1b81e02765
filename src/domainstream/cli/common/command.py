"""Builds a click command from a function and the dataclass of its options. `server_command` builds on it."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from domainstream.cli.common.exit_handling import exit_code_from
from domainstream.cli.common.options import parameters_of
from domainstream.cli.common.terminal import ERROR, Terminal

OptionsT = TypeVar("OptionsT")


def local_command(
    options: type[OptionsT], *, group: click.Group | None = None, error_prefix: str = ERROR, epilog: str | None = None
) -> Callable[[Callable[[Terminal, OptionsT], int | None]], click.Command]:
    """Make a command that calls the function with a `Terminal` and its `options`, and exits with the code it returns.

    `-q` silences the terminal's remarks and `--debug` shows tracebacks, if the options declare them.
    """

    def build(work: Callable[[Terminal, OptionsT], int | None]) -> click.Command:
        def callback(**values: Any) -> None:
            terminal = Terminal(quiet=bool(values.get("quiet")), error_prefix=error_prefix)
            given = options(**values)
            exit_with(lambda: work(terminal, given), terminal, debug=bool(values.get("debug")))

        return command_of(work, callback, parameters_of(options), group=group, epilog=epilog)

    return build


def command_of(
    work: Callable[..., object],
    callback: Callable[..., None],
    parameters: Sequence[click.Parameter],
    *,
    group: click.Group | None = None,
    epilog: str | None = None,
) -> click.Command:
    """Return a command with the name and help of `work`, added to `group` if there is one."""
    command = click.Command(
        work.__name__, callback=callback, params=list(parameters), help=inspect.getdoc(work), epilog=epilog
    )
    if group is not None:
        group.add_command(command)
    return command


def exit_with(work: Callable[[], int | None], terminal: Terminal, *, debug: bool) -> None:
    """Call `work` and end the current command with its exit code."""
    click.get_current_context().exit(exit_code_from(work, terminal, debug=debug))
