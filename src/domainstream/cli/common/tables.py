"""Lays records out in columns, alike on a terminal and in a file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Columns = Mapping[str, Callable[[Any], str]]
"""What stands in each column, by its heading; one that ends in `#` has numbers below, which stand to the right."""


def lines_of(records: Iterable[Any], columns: Columns) -> Iterator[str]:
    """Return the heading and a line for each record."""
    rows = [
        [name.rstrip("#") for name in columns],
        *([show(record) for show in columns.values()] for record in records),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    to_the_right = [name.endswith("#") for name in columns]
    for row in rows:
        yield _line(row, widths, to_the_right)


def _line(row: Sequence[str], widths: Sequence[int], to_the_right: Sequence[bool]) -> str:
    cells = zip(row, widths, to_the_right, strict=True)
    return "  ".join(text.rjust(width) if right else text.ljust(width) for text, width, right in cells).rstrip()
