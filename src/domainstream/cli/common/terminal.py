"""Where a command writes: data to stdout, words about it to stderr."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import click
import msgspec

from domainstream.cli.common.tables import Columns, lines_of


class Terminal:
    """The two outputs of a command, and how much it is to say."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        """Whether data is written as JSON, one object a line."""
        self.quiet = quiet
        """Whether words are left out, but for errors and warnings."""
        # None lets click find out whether the output is a terminal.
        self._color = False if os.environ.get("NO_COLOR") else None

    def table(self, records: Iterable[Any], columns: Columns) -> None:
        """Write records as a table, or each as an object."""
        if self.as_json:
            for record in records:
                self.json(record)
            return
        heading, *rows = lines_of(records, columns)
        click.secho(heading, bold=True, color=self._color)
        for row in rows:
            click.echo(row)

    def facts(self, record: Any, shown: Mapping[str, str]) -> None:
        """Write one record: as an object, or `shown`, a line for each name."""
        if self.as_json:
            self.json(record)
            return
        width = max(map(len, shown)) + 2
        for name, value in shown.items():
            click.echo(f"{click.style(name.ljust(width), bold=True)}{value}", color=self._color)

    def line(self, record: Any, text: str, *, color: str | None = None) -> None:
        """Write one record of many: as an object, or as `text`, perhaps in a colour."""
        if self.as_json:
            self.json(record)
        else:
            click.secho(text, fg=color, color=self._color)

    def clear(self) -> None:
        """Wipe the terminal; a file stays as it is."""
        click.clear()

    def json(self, record: Any) -> None:
        """Write one object on a line of its own."""
        click.echo(msgspec.json.encode(record).decode())

    def say(self, words: str) -> None:
        """Say something that is no data, unless quiet."""
        if not self.quiet:
            click.echo(words, err=True)

    def warn(self, words: str) -> None:
        """Say what went wrong, quiet or not."""
        click.secho(words, err=True, fg="yellow", color=self._color)

    def error(self, words: str) -> None:
        """Say why the command ends."""
        click.echo(f"{click.style('Error:', fg='red', bold=True)} {words}", err=True, color=self._color)
