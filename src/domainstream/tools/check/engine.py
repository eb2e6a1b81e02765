"""Checks a whole system: reads it, runs every rule, and leaves out what comments and settings ignore."""

from pathlib import Path

from domainstream.tools.check.findings import Finding
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.check.rules.table import RULES
from domainstream.tools.check.suppressions import without_ignored


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
    kept = without_ignored(findings, project.ignores)
    return sorted(finding for finding in kept if not finding.code.startswith(project.settings.ignore))
