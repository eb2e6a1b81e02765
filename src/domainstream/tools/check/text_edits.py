"""Adds text to a file's bytes at places that its tree names."""

import codecs
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple


class Insertion(NamedTuple):
    """Text to be added."""

    offset: int
    """Before which byte."""

    text: str
    """What."""


class Text:
    """A file's bytes, by line."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        """The bytes."""
        # Trees count from behind the mark.
        self._starts = [len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0]
        self.line_end = "\r\n" if b"\r\n" in raw else "\n"
        """How its lines end."""
        self._lines = raw.splitlines(keepends=True)
        self._starts += accumulate(map(len, self._lines))

    @property
    def is_utf8(self) -> bool:
        """Whether places in a tree, which counts bytes of UTF-8, are places in this file."""
        try:
            self.raw.decode()
        except UnicodeDecodeError:
            return False
        return True

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a line, from 1, and a column of bytes, from 0."""
        return self._starts[line - 1] + column

    def indentation(self, line: int) -> str:
        """Return the white space that a line begins with."""
        text = self._lines[line - 1].decode("utf-8", "replace")
        return text[: len(text) - len(text.lstrip())]

    def with_insertions(self, insertions: Iterable[Insertion]) -> bytes:
        """Return the bytes with everything added; what is added at one place keeps its order."""
        result = self.raw
        for offset, text in reversed(sorted(insertions, key=lambda one: one.offset)):  # noqa: C413 - keeps equals in order
            result = result[:offset] + text.encode() + result[offset:]
        return result
