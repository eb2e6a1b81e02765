"""Prose: headers that can be trusted, and messages in plain English."""

import ast
import re
from functools import cache
from itertools import pairwise

import pytest
from support.source_code import ROOT, Module, modules

NAMES = {module.name for module in modules()}
CRUMB = re.compile(r"\b(?:Before|Next stage): (?P<stage>`[^`]+`(?:, [^.]+)?)")

PHRASES = {
    r"; type: ": "write what to use, run or fix",
    r"(?<![Tt]here )\b(?:is|are) no (?!longer\b|more\b)[a-z]": "write: is not a",
    r"\bmend": "write: fix",
    r"\b(?:told|tells)\b": "write: report, return, log or say",
    r"\bshall\b": "write: must, or will",
    r"\bcomes? again\b": "write: is retried, or is delivered again",
    r"\bfor good\b": "write: permanently",
    r"\ball the same\b": "write: anyway",
    r"\bwhich is then owned\b": "constructors borrow",
}


def test_headers_of_the_stages_follow_the_arrow() -> None:
    """Each stage's docstring names the stages before and after it, which exist."""
    stages = ["event", "channel", "producer", "publisher", "outbox", "stream", "queue", "subscriber", "worker"]
    packages = {module.name: module.docstring for module in modules() if module.path.stem == "__init__"}
    for before, after in pairwise(stages):
        assert f"Next stage: `domainstream.{after}`" in packages[f"domainstream.{before}"]
        assert f"Before: `domainstream.{before}`" in packages[f"domainstream.{after}"]


def test_only_stages_have_headers_of_the_arrow() -> None:
    """Elsewhere such a line would mean the order of calls, of imports or of a table, and drift."""
    strays = [str(module) for module in modules() if CRUMB.search(module.docstring) and module.name.count(".") != 1]

    assert strays == []


def test_headers_of_scripts_name_files_that_exist() -> None:
    """A script says which file calls it, or includes it."""
    files = {path.name for path in ROOT.rglob("*.*")}
    headers = {script.name: script.read_text(encoding="utf-8").partition("\n\n")[0] for script in ROOT.rglob("*.lua")}
    named = {(script, name) for script, header in headers.items() for name in re.findall(r"\w+\.(?:py|lua)\b", header)}
    assert [(script, name) for script, name in named if name not in files] == []
    assert len(named) >= len(headers) / 2


@cache
def texts_of(module: Module) -> list[tuple[int, str]]:
    """Return every text of a module, docstrings and messages alike, but no key of JSON as in `field(name="mend")`."""
    keys = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.keyword) and node.arg == "name"}
    return [
        (node.lineno, node.value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in keys
    ]


@pytest.mark.parametrize("phrase", PHRASES)
def test_texts_are_plain_english(phrase: str) -> None:
    """Docstrings and messages use the words of the field, in the order of an English sentence."""
    pattern = re.compile(phrase)
    found = [
        f"{module}:{line} {PHRASES[phrase]}"
        for module in modules()
        for line, text in texts_of(module)
        if pattern.search(text)
    ]

    assert found == []
