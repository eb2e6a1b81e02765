"""A large system is understood as a whole, and only files that matter are parsed."""

import ast
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from domainstream.tools.check import check_project, read_project

BENCHMARK = Path(__file__).parents[4] / "benchmarks" / "checking.py"
write_monorepo: Callable[[Path, int], int] = run_path(str(BENCHMARK))["write_monorepo"]


def test_generated_monorepo_is_clean_and_understood(tmp_path: Path) -> None:
    """The benchmark's monorepo is clean, and all of its events, channels, mappers and handlers are read."""
    write_monorepo(tmp_path, 4)
    project = read_project(tmp_path)
    assert check_project(tmp_path) == []
    assert len(project.events) == len(project.channel_by_name) == 80
    assert sum(len(consumer.handlers) for consumer in project.consumers) == 80
    assert sum(len(mapper.cases) for mapper in project.mappers) == 80


def test_only_files_that_matter_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` parses only files with events, unions, mappers, consumers, channels or subscriptions."""
    write_monorepo(tmp_path, 4)
    parsed: list[Any] = []
    parse = ast.parse

    def counting(text: Any) -> ast.Module:
        parsed.append(text)
        tree: ast.Module = parse(text)
        return tree

    monkeypatch.setattr(ast, "parse", counting)
    assert check_project(tmp_path) == []
    assert len(parsed) == 4 * (4 + 1 + 1 + 1) + 2
    assert len(list(tmp_path.rglob("*.py"))) > 2 * len(parsed)
