"""What mypy and pyright accept and reject of users' code, given as the files in `typing_tests`.

In a rejected file, a comment `# expect-mypy: words` or `# expect-pyright: words` says that the checker reports an error
with these words at the next line of code.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACCEPTED = sorted((ROOT / "typing_tests" / "accepted").glob("*.py"))
REJECTED = sorted((ROOT / "typing_tests" / "rejected").glob("*.py"))
PLAIN_ENVIRONMENT = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}

Place = tuple[str, int]


def expected_of(checker: str, files: list[Path]) -> dict[Place, str]:
    """Return the words that `checker` is expected to say, by file and line."""
    expected: dict[Place, str] = {}
    for path in files:
        words = ""
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if found := re.fullmatch(rf"\s*# expect-{checker}: (.+)", line):
                words = found[1]
            elif words and not line.lstrip().startswith("#"):
                expected[path.name, number] = words
                words = ""
    return expected


def output_of(*command: str) -> str:
    """Run a module of this environment on all files and return what it prints."""
    files = [str(path.relative_to(ROOT)) for path in ACCEPTED + REJECTED]
    ran = subprocess.run(
        [sys.executable, "-m", *command, *files],
        cwd=ROOT,
        env=PLAIN_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return ran.stdout


def reported_by_mypy() -> list[tuple[Place, str]]:
    """Return mypy's errors, each with its file and line."""
    lines = output_of("mypy", "--strict", "--output=json", "--no-error-summary").splitlines()
    errors = [error for error in map(json.loads, lines) if error["severity"] == "error"]
    return [((Path(error["file"]).name, error["line"]), error["message"]) for error in errors]


def reported_by_pyright() -> list[tuple[Place, str]]:
    """Return pyright's errors and warnings, each with its file and line."""
    output = output_of("pyright", "--outputjson", "--pythonpath", sys.executable)
    return [
        ((Path(error["file"]).name, error["range"]["start"]["line"] + 1), error["message"])
        for error in json.loads(output)["generalDiagnostics"]
    ]


def compared(reported: list[tuple[Place, str]], expected: dict[Place, str]) -> dict[Place, str]:
    """Shorten each reported message to the expected words where it holds them, so that any other shows."""
    return {
        place: expected[place] if place in expected and expected[place] in message else message
        for place, message in reported
    }


def test_mypy_reports_what_is_expected_and_nothing_else() -> None:
    """Strict mypy finds each mistake in the rejected files, with the expected words, and none in the accepted ones."""
    expected = expected_of("mypy", REJECTED)
    assert compared(reported_by_mypy(), expected) == expected


def test_pyright_reports_what_is_expected_and_nothing_else() -> None:
    """Pyright finds each mistake in the rejected files, with the expected words, and none in the accepted ones."""
    expected = expected_of("pyright", REJECTED)
    assert compared(reported_by_pyright(), expected) == expected


@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.stem)
def test_rejected_file_is_rejected_by_both_checkers(path: Path) -> None:
    """Each rejected file holds at least one mistake, and both checkers are expected to find the same ones."""
    lines = expected_of("mypy", [path]).keys()
    assert lines
    assert lines == expected_of("pyright", [path]).keys()


def test_forgotten_event_is_named() -> None:
    """A mapper that forgets an event is rejected by the forgotten class's name."""
    forgotten = [path for path in REJECTED if path.stem == "forgotten_event_in_mapper"]
    words = [*expected_of("mypy", forgotten).values(), *expected_of("pyright", forgotten).values()]
    assert len(words) == 2
    assert all('"OptimizationRejected"' in said for said in words)
