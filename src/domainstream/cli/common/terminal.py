"""Writes a command's data to stdout, as text or JSON, and remarks, warnings and errors to stderr."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from domainstream.cli.common.tables import Columns, lines_of

ERROR: Final = "Error: "


class Terminal:
    """The two outputs of a command."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, error_prefix: str = ERROR) -> None:
        self.as_json = as_json
        """Whether data is written as JSON, one object per line."""
        self.quiet = quiet
        """Whether remarks are left out; warnings and errors never are."""
        self._error_prefix = error_prefix
        # None lets click find out whether the output is a terminal.
        self._color = False if os.environ.get("NO_COLOR") else None

    def table(self, records: Iterable[Any], columns: Columns) -> None:
        """Write records as a table, or as one JSON object each."""
        if self.as_json:
            for record in records:
                self.json(record)
            return
        heading, *rows = lines_of(records, columns)
        click.secho(heading, bold=True, color=self._color)
        for row in rows:
            click.echo(row)

    def facts(self, record: Any, shown: Mapping[str, str]) -> None:
        """Write one record: as a JSON object, or `shown` with one line per name."""
        if self.as_json:
            self.json(record)
            return
        width = max(map(len, shown)) + 2
        for name, value in shown.items():
            click.echo(f"{click.style(name.ljust(width), bold=True)}{value}", color=self._color)

    def line(self, record: Any, text: str, *, color: str | None = None) -> None:
        """Write one record of many: as a JSON object, or as `text`."""
        if self.as_json:
            self.json(record)
        else:
            click.secho(text, fg=color, color=self._color)

    def text(self, text: str) -> None:
        """Write `text` as data, as it is."""
        click.echo(text, nl=False)

    def clear(self) -> None:
        """Clear the screen, if stdout is a terminal."""
        click.clear()

    def json(self, record: Any) -> None:
        """Write one JSON object on a line."""
        import msgspec  # noqa: PLC0415 - `--help` does without it

        click.echo(msgspec.json.encode(record).decode())

    def say(self, remark: str) -> None:
        """Write a remark to stderr, unless quiet."""
        if not self.quiet:
            click.echo(remark, err=True)

    def warn(self, warning: str) -> None:
        """Write a warning to stderr, even if quiet."""
        click.secho(warning, err=True, fg="yellow", color=self._color)

    def error(self, reason: str) -> None:
        """Write to stderr why the command fails."""
        click.echo(f"{click.style(self._error_prefix, fg='red', bold=True)}{reason}", err=True, color=self._color)
