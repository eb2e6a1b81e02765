"""Writes findings: as text, as JSON, for GitHub's annotations, as SARIF."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from domainstream.tools.check.findings import Finding
from domainstream.tools.check.rules.table import RULES

Format = Callable[[Sequence[Finding]], str]
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def as_text(findings: Sequence[Finding]) -> str:
    """Return two lines a finding: what is wrong, and what to do."""
    return "\n".join(f"{finding}\n    {finding.fix}" for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return one array of objects."""
    return json.dumps([_flat(finding) for finding in findings], indent=2, ensure_ascii=False)


def as_github(findings: Sequence[Finding]) -> str:
    """Return a workflow command a finding: GitHub shows it beside the line."""
    return "\n".join(map(_command, findings))


def as_sarif(findings: Sequence[Finding]) -> str:
    """Return a SARIF 2.1.0 log, as code scanning takes it."""
    used = {finding.code for finding in findings}
    driver = {
        "name": "domainstream",
        "rules": [{"id": rule.code, "shortDescription": {"text": rule.summary}} for rule in RULES if rule.code in used],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding) for finding in findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


FORMATS: Final[Mapping[str, Format]] = {"text": as_text, "json": as_json, "github": as_github, "sarif": as_sarif}


def _flat(finding: Finding) -> dict[str, str | int]:
    return {
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "code": finding.code,
        "message": finding.message,
        "fix": finding.fix,
    }


def _command(finding: Finding) -> str:
    properties = {"file": finding.path, "line": finding.line, "col": finding.column, "title": finding.code}
    listed = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    return f"::error {listed}::{_escaped(f'{finding.message}; {finding.fix}')}"


def _escaped(text: str, more: Iterable[str] = "") -> str:
    """Write the characters that end a command, or a property of it, as GitHub's runner reads them."""
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _result(finding: Finding) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    return {
        "ruleId": finding.code,
        "level": "error",
        "message": {"text": f"{finding.message}. Fix: {finding.fix}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(finding.path)}, "region": region}}],
    }
