"""Comments such as `# domainstream: ignore[CODE] reason`: reads them, and leaves out the findings that they ignore."""

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from typing import Final

from domainstream.tools.check.findings import Finding, Location
from domainstream.tools.check.model.project import IgnoreComment
from domainstream.tools.check.reading.sources import Source

UNUSED_IGNORE: Final = "DS004"
"""The rule that a comment breaks when no finding needs it."""

_WORDS: Final = re.compile(rb"domainstream:\s*ignore")
_COMMENT: Final = re.compile(r"#\s*domainstream:\s*ignore\b(?:\[([^\]]*)\])?\W*(.*)")


def read_ignores(source: Source) -> Iterator[IgnoreComment]:
    """Yield each such comment; one on a line of its own is about the next line."""
    if not _WORDS.search(source.text):
        return
    for token in _comments(source.text):
        match = _COMMENT.search(token.string)
        if match:
            line, column = token.start
            codes = tuple(code.strip() for code in (match[1] or "").split(",") if code.strip())
            alone = not token.line[:column].strip()
            yield IgnoreComment(codes, match[2].strip(), line + alone, Location(source.path, line, column + 1))


def _comments(text: bytes) -> list[tokenize.TokenInfo]:
    try:
        return [token for token in tokenize.tokenize(io.BytesIO(text).readline) if token.type == tokenize.COMMENT]
    except (SyntaxError, tokenize.TokenError, UnicodeDecodeError):
        # Not Python: the file is reported for that if any rule needs it.
        return []


def without_ignored(findings: Iterable[Finding], comments: Iterable[IgnoreComment]) -> Iterator[Finding]:
    """Yield the findings that no comment ignores, then one for each code that a comment names unnecessarily."""
    comment_of = {
        (comment.location.path, comment.line, code): comment for comment in comments for code in comment.codes
    }
    unused = dict(comment_of)
    for finding in findings:
        key = (finding.path, finding.line, finding.code)
        if key in comment_of:
            unused.pop(key, None)
        else:
            yield finding
    for (_, _, code), comment in unused.items():
        yield Finding(comment.location, UNUSED_IGNORE, f"there is no {code} here to ignore", "remove the comment")
