"""Checks a whole system: reads it and asks every rule."""

from collections.abc import Iterator
from pathlib import Path

from domainstream.tools.check.findings import Finding
from domainstream.tools.check.model.base import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.check.rules.table import RULES
from domainstream.tools.check.suppressions import without_ignored


def check_project(root: Path) -> list[Finding]:
    """Return what is wrong with the system whose folder is `root`, sorted by place; empty when it is clean.

    Raises `ConfigurationError` for a `domainstream.toml` that cannot be used.
    """
    return findings_of(read_project(root))


def findings_of(project: Project) -> list[Finding]:
    """Return what is wrong with a system that was read."""
    found = without_ignored(_all(project), project.ignores)
    return sorted(finding for finding in found if not finding.code.startswith(project.settings.ignore))


def _all(project: Project) -> Iterator[Finding]:
    for rule in RULES:
        for place, message, fix in rule.find(project):
            yield Finding(place, rule.code, message, fix)
