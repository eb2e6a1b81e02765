"""Declares the options of a command as a frozen dataclass, and those that several commands share.

A field is declared once, with its type, as in `since: Annotated[StartPoint, option("--since", type=Since())]`: click
reads the declaration, mypy the type. The field's documentation is the option's help.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

import click


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
BullPrefix = Annotated[
    str, option("--bull-prefix", default="bull", show_default=True, help="The prefix of all BullMQ keys.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    """The options of every command that connects to a server."""

    redis_url: RedisUrl
    """The server's URL; None if none is configured."""

    prefix: StreamPrefix
    """The prefix of all stream keys."""

    as_json: Annotated[bool, option("--json", is_flag=True, help="Write data as JSON, one object per line.")]
    """Whether data is written as JSON."""

    quiet: Annotated[bool, option("-q", "--quiet", is_flag=True, help="Print only data and errors.")]
    """Whether only data and errors are printed."""

    verbose: Annotated[int, option("-v", "--verbose", count=True, help="Log to stderr; -vv logs more.")]
    """How much is logged to stderr."""

    debug: Debug
    """Whether an error shows its traceback."""
