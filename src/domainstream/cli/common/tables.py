"""Lays out records in columns, the same on a terminal and in a file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Columns = Mapping[str, Callable[[Any], str]]
"""The text of each column by its heading; `#` at the end of a heading right-aligns the column, for numbers."""


def lines_of(records: Iterable[Any], columns: Columns) -> Iterator[str]:
    """Yield the heading and one line per record."""
    rows = [
        [name.rstrip("#") for name in columns],
        *([show(record) for show in columns.values()] for record in records),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right_aligned = [name.endswith("#") for name in columns]
    for row in rows:
        yield _line(row, widths, right_aligned)


def _line(row: Sequence[str], widths: Sequence[int], right_aligned: Sequence[bool]) -> str:
    cells = zip(row, widths, right_aligned, strict=True)
    return "  ".join(text.rjust(width) if right else text.ljust(width) for text, width, right in cells).rstrip()
