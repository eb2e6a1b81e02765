"""A system of any size is checked in a time that its size alone decides."""

import ast
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from time import perf_counter
from typing import Any

import pytest

from domainstream.tools.check import check_project, read_project

BENCHMARK = Path(__file__).parents[4] / "benchmarks" / "checking.py"
write_monorepo: Callable[[Path, int], int] = run_path(str(BENCHMARK))["write_monorepo"]


def test_a_generated_monorepo_is_clean_and_understood(tmp_path: Path) -> None:
    """What the benchmark measures is a whole check of a whole system."""
    write_monorepo(tmp_path, 4)
    project = read_project(tmp_path)
    assert check_project(tmp_path) == []
    assert len(project.events) == len(project.channel_by_name) == 80
    assert sum(len(consumer.handlers) for consumer in project.consumers) == 80
    assert sum(len(mapper.cases) for mapper in project.mappers) == 80


def test_only_files_that_matter_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of some hundred files, those with events, unions, mappers, consumers, channels and subscriptions."""
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


def test_time_grows_no_faster_than_the_system(tmp_path: Path) -> None:
    """Four times the services take some four times as long: far from the sixteen of comparing all with all."""
    small, large = tmp_path / "small", tmp_path / "large"
    write_monorepo(small, 5)
    write_monorepo(large, 20)
    assert seconds(large) < 9 * seconds(small)


def seconds(root: Path) -> float:
    """Return how long the check takes, at best."""
    times = []
    for _ in range(3):
        start = perf_counter()
        check_project(root)
        times.append(perf_counter() - start)
    return min(times)
