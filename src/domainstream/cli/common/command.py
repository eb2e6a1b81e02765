"""Builds a click command from a function and the dataclass of its options; `server_command` builds on it.

The module of a local command imports at its top what its options need, and in its function what its work needs, so that
`--help` is fast and works without the extras. Commands on a server or a database name its types in their signatures, so
they load the client at once, and those on a database need the extra `outbox`.

A field is declared once, with its type, as in `since: Annotated[StartPoint, option("--since", type=Since())]`: click
reads the declaration, mypy the type.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_type_hints

import click

from domainstream.cli.common.exit_codes import exit_code_from
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
            code = exit_code_from(lambda: work(terminal, given), terminal, debug=bool(values.get("debug")))
            click.get_current_context().exit(code)

        command = command_of(work, callback, parameters_of(options), epilog=epilog)
        if group is not None:
            group.add_command(command)
        return command

    return build


def command_of(
    work: Callable[..., object],
    callback: Callable[..., None],
    parameters: Sequence[click.Parameter],
    *,
    epilog: str | None = None,
) -> click.Command:
    """Return a command with the name and help of `work`."""
    return click.Command(
        work.__name__, callback=callback, params=list(parameters), help=inspect.getdoc(work), epilog=epilog
    )


class Declaration(NamedTuple):
    """An option or argument without its parameter name, which is the name of the field."""

    kind: type[click.Parameter]
    """`click.Option` or `click.Argument`."""

    flags: tuple[str, ...]
    """The option's names on the command line."""

    settings: Mapping[str, Any]
    """The settings of the option or argument, as click calls them."""


def option(*flags: str, **settings: Any) -> Declaration:
    """Declare a field as an option; `settings` are those of `click.option`."""
    return Declaration(click.Option, flags, settings)


def argument(**settings: Any) -> Declaration:
    """Declare a field as an argument; `settings` are those of `click.argument`."""
    return Declaration(click.Argument, (), settings)


def parameters_of(options: type[object]) -> list[click.Parameter]:
    """Return the click parameters that the fields of an options class declare."""
    return [
        declaration.kind([*declaration.flags, name], **declaration.settings)
        for name, hint in get_type_hints(options, include_extras=True).items()
        for declaration in get_args(hint)
        if isinstance(declaration, Declaration)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class NoOptions:
    """The options of a command that has none of its own."""


Debug = Annotated[bool, option("--debug", is_flag=True, help="Show a traceback with an error.")]
Yes = Annotated[bool, option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")]
RedisUrl = Annotated[
    str | None, option("--redis-url", metavar="URL", envvar="REDIS_URL", show_envvar=True, help="The server.")
]
StreamPrefix = Annotated[
    str,
    option(
        "--prefix",
        default="",
        envvar="DOMAINSTREAM_PREFIX",
        show_envvar=True,
        help="The prefix of all stream keys.",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    option(
        "--database-url",
        metavar="URL",
        envvar="DATABASE_URL",
        show_envvar=True,
        help="The database of the outbox: PostgreSQL or SQLite.",
    ),
]
TableName = Annotated[
    str,
    option(
        "--table",
        metavar="NAME",
        default="domainstream_outbox",
        show_default=True,
        envvar="DOMAINSTREAM_OUTBOX",
        show_envvar=True,
        help="The table of the outbox.",
    ),
]
SchemaName = Annotated[str | None, option("--schema", metavar="NAME", help="Its schema, if it is not the default one.")]
BullPrefix = Annotated[
    str, option("--bull-prefix", default="bull", show_default=True, help="The prefix of all BullMQ keys.")
]
