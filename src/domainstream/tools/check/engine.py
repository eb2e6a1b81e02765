"""Checks a whole system: reads it, runs every rule, and leaves out what comments and settings ignore."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from domainstream.tools.check.findings import Finding
from domainstream.tools.check.model.project import IgnoreComment, Project
from domainstream.tools.check.project import read_project
from domainstream.tools.check.rules.table import RULES, UNUSED_IGNORE


def check_project(root: Path) -> list[Finding]:
    """Return what is wrong with the system whose folder is `root`, sorted by location; empty when it is clean.

    Raises `ConfigurationError` for a `domainstream.toml` that cannot be used.
    """
    return findings_of(read_project(root))


def findings_of(project: Project) -> list[Finding]:
    """Return what is wrong with a system that has been read."""
    findings = (
        Finding(location, rule.code, message, fix)
        for rule in RULES
        if rule.find is not None
        for location, message, fix in rule.find(project)
    )
    kept = _without_ignored(findings, project.ignores)
    return sorted(finding for finding in kept if not finding.code.startswith(project.settings.ignore))


def _without_ignored(findings: Iterable[Finding], comments: Iterable[IgnoreComment]) -> Iterator[Finding]:
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
