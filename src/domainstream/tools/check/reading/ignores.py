"""Reads the comments `# domainstream: ignore[CODE] reason`."""

import io
import re
import tokenize
from collections.abc import Iterator
from typing import Final

from domainstream.tools.check.findings import Place
from domainstream.tools.check.model.base import IgnoreComment
from domainstream.tools.check.reading.sources import Source

_WORDS: Final = re.compile(rb"domainstream:\s*ignore")
_COMMENT: Final = re.compile(r"#\s*domainstream:\s*ignore\b(?:\[([^\]]*)\])?\W*(.*)")


def read_ignores(source: Source) -> Iterator[IgnoreComment]:
    """Yield each such comment; one with a line of its own is about the next line."""
    if not _WORDS.search(source.text):
        return
    for token in _comments(source.text):
        found = _COMMENT.search(token.string)
        if found:
            line, column = token.start
            codes = tuple(code.strip() for code in (found[1] or "").split(",") if code.strip())
            alone = not token.line[:column].strip()
            yield IgnoreComment(codes, found[2].strip(), line + alone, Place(source.path, line, column + 1))


def _comments(text: bytes) -> list[tokenize.TokenInfo]:
    try:
        return [token for token in tokenize.tokenize(io.BytesIO(text).readline) if token.type == tokenize.COMMENT]
    except (SyntaxError, tokenize.TokenError, UnicodeDecodeError):
        # No Python: the file is reported for that, if any rule needs it.
        return []
