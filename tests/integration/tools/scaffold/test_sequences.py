"""After any sequence of `domainstream new` commands the system is sound: properties over random sequences."""

import re
import shutil
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path

import pytest
from integration.tools.scaffold.sequences import (
    assert_sound,
    assert_types_and_tests_pass,
    commands,
    follow,
    make_project,
    run,
    tree,
)

EXAMPLE = Path(__file__).parents[4] / "examples/monorepo"
LONGER = re.compile(r" \| |: TypeAlias = ")
SERVICES = ("billing", "coding", "screenflow", "valuation")


def lost(before: bytes, after: bytes) -> list[str]:
    """Return the lines that an edit removed, except for those that it extended."""
    changes = unified_diff(before.decode().splitlines(), after.decode().splitlines(), n=0, lineterm="")
    gone = [line[1:] for line in changes if line.startswith("-") and not line.startswith("---")]
    return [line for line in gone if not line.startswith(("from ", '    "')) and not LONGER.search(line)]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example monorepo, with the tools' settings that a new project has."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    make_project(folder)
    settings = folder / "pyproject.toml"
    # In its own repository, the example's imports stand as if domainstream were part of the project.
    isort = '\n[tool.ruff.lint.isort]\nknown-first-party = ["domainstream"]\n'
    settings.write_text(settings.read_text() + isort)
    for service in SERVICES:
        assert run(folder, "service", service).exit_code == 0
    return folder


@pytest.mark.parametrize(("seed", "width"), [(1, 120), (2, 88), (102, 79)])
def test_project_stays_sound(tmp_path: Path, seed: int, width: int) -> None:
    """After any sequence of commands and with any line length, `check` and ruff find nothing in the project."""
    make_project(tmp_path / "project")
    settings = tmp_path / "project/pyproject.toml"
    settings.write_text(settings.read_text().replace("line-length = 120", f"line-length = {width}"))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet"], cwd=tmp_path / "project", check=True)
    assert follow(tmp_path / "project", commands(tmp_path / "project", seed, count=20)) > 5
    assert_sound(tmp_path / "project")


def test_existing_system_stays_sound(example: Path) -> None:
    """The example monorepo keeps its comments, order and code, and all generated code fits into it."""
    before = tree(example)
    assert_sound(example)
    assert follow(example, commands(example, 8, count=20)) > 5
    assert_sound(example)
    assert_types_and_tests_pass(example)
    after = tree(example)
    assert [line for path, code in before.items() for line in lost(code, after[path])] == []
