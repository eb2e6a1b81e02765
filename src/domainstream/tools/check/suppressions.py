"""Leaves out findings that a comment ignores, and tells of comments that ignore nothing."""

from collections.abc import Iterable, Iterator
from typing import Final

from domainstream.tools.check.findings import Finding
from domainstream.tools.check.model.base import IgnoreComment

UNUSED: Final = "DS004"


def without_ignored(findings: Iterable[Finding], comments: Iterable[IgnoreComment]) -> Iterator[Finding]:
    """Yield the findings that no comment is about, and one for each code that a comment names without need."""
    comment_of = {(one.place.path, one.line, code): one for one in comments for code in one.codes}
    unused = dict(comment_of)
    for finding in findings:
        key = (finding.path, finding.line, finding.code)
        if key in comment_of:
            unused.pop(key, None)
        else:
            yield finding
    for (_, _, code), comment in unused.items():
        yield Finding(comment.place, UNUSED, f"there is no {code} here to ignore", "remove the comment")
