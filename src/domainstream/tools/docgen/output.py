"""Writes a document, or compares it with the one that was written before."""

from pathlib import Path

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import DomainStreamError


class DocumentFileError(DomainStreamError):
    """The file of a document cannot be written or read."""


def write(text: str, path: Path | None) -> int:
    """Write `text` to a file, or to stdout where none is named, and return the exit code."""
    if path is None:
        click.echo(text, nl=False)
        return exits.OK
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise DocumentFileError(f"{path} cannot be written: {error.strerror}. Name another file") from error
    return exits.OK


def compare(text: str, path: Path, terminal: Terminal) -> int:
    """Return 0 when the file holds `text`, else say what to type and return 1."""
    again = f"write it again, with --output {path} in place of --check {path}"
    try:
        committed = path.read_bytes()
    except FileNotFoundError:
        terminal.error(f"{path} does not exist; {again}")
        return exits.FAILED
    except OSError as error:
        raise DocumentFileError(f"{path} cannot be read: {error.strerror}") from error
    # Git may have given the file other line ends.
    if committed.replace(b"\r\n", b"\n") == text.encode():
        return exits.OK
    terminal.error(f"{path} is not up to date; {again}")
    return exits.FAILED
