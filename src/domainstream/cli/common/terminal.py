"""Writes a command's data to stdout, as text or JSON, and remarks, warnings, errors and questions to stderr."""

import os
import shutil
import signal
import sys
import textwrap
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click
import msgspec

from domainstream.errors import DomainStreamError
from domainstream.text import JSON_ERRORS, printable
from domainstream.tools.common.formatting import NONE

ERROR: Final = "Error: "

Columns = Mapping[str, Callable[[Any], str]]
"""The text of each column by its heading; `#` at the end of a heading right-aligns the column, for numbers."""


class Terminal:
    """The two outputs of a command.

    What it writes as text is escaped, since much of it comes from others: a name or a message cannot control the
    terminal. JSON has its own escapes.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, error_prefix: str = ERROR) -> None:
        self.as_json = as_json
        """Whether data is written as JSON, one object per line."""
        self.quiet = quiet
        """Whether remarks are left out; warnings and errors never are."""
        self._error_prefix = error_prefix
        # None lets click find out whether the output is a terminal.
        self._color = False if os.environ.get("NO_COLOR") else None

    def table(self, records: Iterable[Any], columns: Columns) -> None:
        """Write records as a table, the same on a terminal and in a file, or as one JSON object each."""
        if self.as_json:
            for record in records:
                self.json(record)
            return
        heading, *rows = _lines_of_table(records, columns)
        click.secho(heading, bold=True, color=self._color)
        for row in rows:
            click.echo(row)

    def facts(self, record: Any, shown: Mapping[str, str | Sequence[str]], *, wrap: bool = False) -> None:
        """Write one record: as a JSON object, or `shown` with a line per name, or several for a sequence.

        With `wrap`, lines are wrapped to fit into the terminal.
        """
        if self.as_json:
            self.json(record)
            return
        width = max(map(len, shown)) + 2
        for name, value in shown.items():
            first, *more = [value] if isinstance(value, str) else value
            line, *others = [
                self.wrapped(text, indent=" " * (width + 2)) if wrap else text
                for text in (
                    f"{name.ljust(width)}{printable(first)}",
                    *(f"{' ' * width}{printable(each)}" for each in more),
                )
            ]
            click.echo(f"{click.style(line[:width], bold=True)}{line[width:]}", color=self._color)
            for other in others:
                click.echo(other)

    def line(self, record: Any, text: str, *, color: str | None = None) -> None:
        """Write one record of many: as a JSON object, or as `text`."""
        if self.as_json:
            self.json(record)
        else:
            click.secho(_escaped(text), fg=color, color=self._color)

    def wrapped(self, text: str, *, indent: str) -> str:
        """Return a paragraph in lines that fit into the terminal, indented from the second on; as it is for a file."""
        if not sys.stdout.isatty():
            return text
        width = max(shutil.get_terminal_size().columns, 40)
        return textwrap.fill(
            text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
        )

    def text(self, text: str) -> None:
        """Write `text` as data, as it is."""
        click.echo(text, nl=False)

    def clear(self) -> None:
        """Clear the screen, if stdout is a terminal."""
        click.clear()

    def json(self, record: Any) -> None:
        """Write one JSON object on a line."""
        click.echo(msgspec.json.encode(record).decode())

    def say(self, remark: str) -> None:
        """Write a remark to stderr, unless quiet."""
        if not self.quiet:
            click.echo(_escaped(remark), err=True)

    def warn(self, warning: str) -> None:
        """Write a warning to stderr, even if quiet."""
        click.secho(_escaped(warning), err=True, fg="yellow", color=self._color)

    def error(self, reason: str) -> None:
        """Write to stderr why the command fails."""
        click.echo(
            f"{click.style(self._error_prefix, fg='red', bold=True)}{_escaped(reason)}", err=True, color=self._color
        )


def _escaped(text: str) -> str:
    """Escape each line of a text of ours, whose line breaks are meant."""
    return "\n".join(map(printable, text.split("\n")))


def _lines_of_table(records: Iterable[Any], columns: Columns) -> Iterator[str]:
    """Yield the heading and one line per record."""
    rows = [
        [name.rstrip("#") for name in columns],
        *([printable(show(record)) for show in columns.values()] for record in records),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right_aligned = [name.endswith("#") for name in columns]
    for row in rows:
        cells = zip(row, widths, right_aligned, strict=True)
        yield "  ".join(text.rjust(width) if right else text.ljust(width) for text, width, right in cells).rstrip()


def data_fields(data: bytes | None) -> dict[str, Any]:
    """Return an entry's data as the fields of a JSON record: `data` if it is JSON, else `data_base64`; none for None.

    JSON keeps its numbers as written in the entry, and loses its whitespace.
    """
    if data is None:
        return {}
    try:
        msgspec.json.decode(data)
        return {"data": msgspec.Raw(msgspec.json.format(data, indent=-1))}
    except JSON_ERRORS:
        return {"data_base64": b64encode(data).decode()}


def data_line(data: bytes | None) -> str:
    """Return an entry's data on one line for a person."""
    return NONE if data is None else printable(data)


def data_lines(data: bytes | None) -> list[str]:
    """Return an entry's data indented, one string per line; anything that is not JSON on one line."""
    if data is None or "data" not in data_fields(data):
        return [data_line(data)]
    return msgspec.json.format(data, indent=2).decode().split("\n")


class DeclinedError(DomainStreamError):
    """The user declined."""


def confirm(question: str, *, yes: bool) -> None:
    """Return once the user has agreed to destroy or add data, or at once with `yes`.

    Raises `DeclinedError` when the user declines, and a usage error when stdin is not a terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Confirmation needs a terminal; to agree, add: --yes")
    try:
        with _interrupts_at_once():
            agreed = click.confirm(question, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    if not agreed:
        raise DeclinedError("nothing was done")


@contextmanager
def _interrupts_at_once() -> Iterator[None]:
    # asyncio defers Ctrl-C until the coroutine yields, which it does not do while it waits for an answer.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
