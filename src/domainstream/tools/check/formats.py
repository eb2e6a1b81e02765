"""Writes findings: as text, as JSON, for GitHub's annotations, as SARIF."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from domainstream.tools.check.engine import RULES
from domainstream.tools.check.findings import Finding

Format = Callable[[Sequence[Finding]], str]
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def as_text(findings: Sequence[Finding]) -> str:
    """Return two lines a finding: what is wrong, and what to do."""
    return "\n".join(f"{finding}\n    {finding.fix}" for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return one array of objects."""
    flat = [
        {
            "path": finding.path,
            "line": finding.line,
            "column": finding.column,
            "code": finding.code,
            "message": finding.message,
            "fix": finding.fix,
        }
        for finding in findings
    ]
    return json.dumps(flat, indent=2, ensure_ascii=False)


def as_github(findings: Sequence[Finding]) -> str:
    """Return a workflow command a finding: GitHub shows it beside the line."""
    commands = []
    for finding in findings:
        properties = {"file": finding.path, "line": finding.line, "col": finding.column, "title": finding.code}
        listed = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
        commands.append(f"::error {listed}::{_escaped(f'{finding.message}; {finding.fix}')}")
    return "\n".join(commands)


def as_sarif(findings: Sequence[Finding]) -> str:
    """Return a SARIF 2.1.0 log, as code scanning takes it."""
    used = {finding.code for finding in findings}
    driver = {
        "name": "domainstream",
        "rules": [{"id": rule.code, "shortDescription": {"text": rule.summary}} for rule in RULES if rule.code in used],
    }
    results = []
    for finding in findings:
        region = {"startLine": finding.line, "startColumn": finding.column}
        place = {"physicalLocation": {"artifactLocation": {"uri": quote(finding.path)}, "region": region}}
        message = {"text": f"{finding.message}. Fix: {finding.fix}"}
        results.append({"ruleId": finding.code, "level": "error", "message": message, "locations": [place]})
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _escaped(text: str, more: Iterable[str] = "") -> str:
    """Write the characters that end a command, or a property of it, as GitHub's runner reads them."""
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


FORMATS: Final[Mapping[str, Format]] = {"text": as_text, "json": as_json, "github": as_github, "sarif": as_sarif}
