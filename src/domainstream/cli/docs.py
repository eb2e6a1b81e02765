"""`domainstream docs`: its commands and their options."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.errors import NotFoundError
from domainstream.cli.common.exit_handling import end_well
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import MissingExtraError
from domainstream.tools.docgen.asyncapi import SPECIFICATIONS, asyncapi_document
from domainstream.tools.docgen.lookup import RegistryNotFoundError, registry_at
from domainstream.tools.docgen.output import difference, write
from domainstream.tools.docgen.system import DocumentedChannel, documented_channels
from domainstream.tools.docgen.typescript import typescript_of

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
Document = Callable[[tuple[DocumentedChannel, ...]], str]

_FILE: Final = click.Path(dir_okay=False, path_type=Path)


def _common(command: CommandT) -> CommandT:
    """Add what all documents have: the system, and where to write."""
    options = (
        click.argument("place", metavar="MODULE:OBJECT"),
        click.option("--output", type=_FILE, help="Write to this file, not to stdout."),
        click.option("--check", type=_FILE, help="Write nothing; exit 1 unless this file is up to date."),
        click.option("--debug", is_flag=True, help="Show a traceback with an error."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def docs() -> None:
    """Write documents of the whole system.

    MODULE:OBJECT is where the system's ChannelRegistry is, or a function that returns it. The module is imported.
    """


@docs.command()
@_common
@click.option(
    "--spec", type=click.Choice(SPECIFICATIONS), default="3.0.0", show_default=True, help="AsyncAPI's version."
)
@click.option("--title", default="Domain events", show_default=True, help="What the document calls the system.")
@click.option("--release", default="1.0.0", show_default=True, help="What the document gives as its own version.")
def asyncapi(*, spec: str, title: str, release: str, **common: Any) -> None:
    """Write channels, operations and messages as AsyncAPI, in JSON."""

    def document(channels: tuple[DocumentedChannel, ...]) -> str:
        written = asyncapi_document(channels, spec=spec, title=title, release=release)
        return json.dumps(written, indent=2, ensure_ascii=False) + "\n"

    _end(document, **common)


@docs.command()
@_common
def typescript(**common: Any) -> None:
    """Write channels, payloads and the data of jobs as TypeScript, for services of Node.js."""
    _end(typescript_of, **common)


@docs.command()
@_common
@click.option("--title", default="Domain events", show_default=True, help="The heading of the page.")
def catalog(*, title: str, **common: Any) -> None:
    """Write a searchable page of HTML: who publishes, who listens, payloads, examples, orphans."""
    try:
        from domainstream.tools.docgen.catalog import catalog_of  # noqa: PLC0415 - the others need no jinja2
    except ImportError:
        raise click.ClickException(str(MissingExtraError("The catalogue", "cli"))) from None
    _end(lambda channels: catalog_of(channels, title=title), **common)


def _end(document: Document, *, place: str, output: Path | None, check: Path | None, debug: bool) -> None:
    if output and check:
        raise click.UsageError("--output writes a file and --check only compares one; leave one of the two out")
    terminal = Terminal()

    def work() -> int:
        try:
            text = document(documented_channels(registry_at(place)))
        except RegistryNotFoundError as error:
            raise NotFoundError(str(error)) from error
        if check:
            return _compare(text, check, terminal)
        if output:
            write(text, output)
        else:
            click.echo(text, nl=False)
        return exits.OK

    click.get_current_context().exit(end_well(work, terminal, debug=debug))


def _compare(text: str, path: Path, terminal: Terminal) -> int:
    problem = difference(text, path)
    if problem is None:
        return exits.OK
    terminal.error(problem)
    return exits.FAILED
