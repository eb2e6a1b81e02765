"""`domainstream docs`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import Debug, argument, local_command, option
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import MissingExtraError

Document = Callable[[tuple[Any, ...]], str]
"""Writes a document about the system's channels, each a `DocumentedChannel`."""

SPECIFICATIONS: Final = ("3.0.0", "3.1.0")
"""The versions that `tools.docgen.asyncapi` writes, repeated here because importing it loads the schemas."""

_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, kw_only=True, slots=True)
class DocsOptions:
    """The options of every document."""

    place: Annotated[str, argument(metavar="MODULE:OBJECT")]
    """Where the registry is."""

    output: Annotated[Path | None, option("--output", type=_FILE, help="Write to this file instead of stdout.")]
    """The file to write to; None for stdout."""

    check: Annotated[
        Path | None, option("--check", type=_FILE, help="Write nothing; exit 1 unless this file is up to date.")
    ]
    """The file to compare with; None compares none."""

    debug: Debug
    """Whether an error shows its traceback."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AsyncApiOptions(DocsOptions):
    """The options of `docs asyncapi`."""

    spec: Annotated[
        str,
        option(
            "--spec",
            type=click.Choice(SPECIFICATIONS),
            default="3.0.0",
            show_default=True,
            help="AsyncAPI version.",
        ),
    ]
    """The version of AsyncAPI."""

    title: Annotated[
        str, option("--title", default="Domain events", show_default=True, help="The title of the document.")
    ]
    """The title of the document."""

    release: Annotated[
        str, option("--release", default="1.0.0", show_default=True, help="The version of the document itself.")
    ]
    """The version of the document itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogOptions(DocsOptions):
    """The options of `docs catalog`."""

    title: Annotated[
        str, option("--title", default="Domain events", show_default=True, help="The heading of the page.")
    ]
    """The heading of the page."""

    system: Annotated[
        Path | None,
        option(
            "--system",
            type=click.Path(file_okay=False, exists=True, path_type=Path),
            help="The folder of the system whose code names the handlers; it is read, not imported.",
        ),
    ]
    """The folder of the system; None for no names of handlers."""


@click.group()
def docs() -> None:
    """Document the whole system as AsyncAPI, a catalogue or TypeScript.

    MODULE:OBJECT names the system's ChannelRegistry, or a function that returns it. The module is imported.
    """


@local_command(AsyncApiOptions, group=docs)
def asyncapi(terminal: Terminal, options: AsyncApiOptions) -> int:
    """Write channels, operations and messages as AsyncAPI, in JSON."""
    from domainstream.tools.docgen.asyncapi import asyncapi_document
    from domainstream.tools.docgen.system import DocumentedChannel

    def document(channels: tuple[DocumentedChannel, ...]) -> str:
        written = asyncapi_document(channels, spec=options.spec, title=options.title, release=options.release)
        return json.dumps(written, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    return _produce(document, terminal, options)


@local_command(DocsOptions, group=docs)
def typescript(terminal: Terminal, options: DocsOptions) -> int:
    """Write channels, payloads and the data of jobs as TypeScript, for services on Node.js."""
    from domainstream.tools.docgen.typescript import typescript_of

    return _produce(typescript_of, terminal, options)


@local_command(CatalogOptions, group=docs)
def catalog(terminal: Terminal, options: CatalogOptions) -> int:
    """Write a searchable HTML page: publishers, subscribers, payloads, examples, orphans."""
    try:
        # The other documents need no jinja2.
        from domainstream.tools.docgen.catalog import catalog_of
    except ImportError:
        raise click.ClickException(str(MissingExtraError("The catalogue", "cli"))) from None
    handlers = None
    if options.system:
        from domainstream.tools.check.project import read_project
        from domainstream.tools.docgen.handlers import handler_names

        handlers = handler_names(read_project(options.system))
    return _produce(lambda channels: catalog_of(channels, title=options.title, handlers=handlers), terminal, options)


def _produce(document: Document, terminal: Terminal, options: DocsOptions) -> int:
    from domainstream.tools.docgen.output import difference, write
    from domainstream.tools.docgen.system import documented_channels, registry_at

    if options.output and options.check:
        raise click.UsageError("--output writes a file and --check only compares one; use only one of them")
    text = document(documented_channels(registry_at(options.place)))
    if options.check:
        if problem := difference(text, options.check):
            terminal.error(problem)
            return exits.FAILED
    elif options.output:
        write(text, options.output)
    else:
        terminal.text(text)
    return exits.OK
