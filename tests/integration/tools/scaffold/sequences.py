"""Random sequences of `domainstream new` commands, and the properties that hold after each."""

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner, Result

from domainstream.cli.new import new
from domainstream.tools.check.engine import check_project

CHANNELS = "packages/contracts/src/contracts/event_publisher_channels.py"
SUBSCRIPTIONS = "packages/contracts/src/contracts/subscriptions.py"
SERVICES = ("coding", "CodingReview", "run", "a", "medical-billing2", "class", "json", "contracts")
AGGREGATES = ("stay", "medical-stay", "Review", "run", "claims_adjustment_assessment", "stays", "X1")
EVENTS = (
    "coded",
    "StayCoded",
    "optimization-evaluated",
    "re_evaluated_from_ignored",
    "Run2Started",
    "sent",
    "send",
)
JOBS = ("price-stay", "log", "import", "consumer", "EventContext", "record_the_outcome_of_the_evaluation_for_the_ward")
TYPES = ("str", "int", "float", "bool", "decimal", "date", "datetime", "uuid")
FIELDS = ("date", "datetime", "stay_id", "decimal", "uuid", "Amount", "class", "final", "base-event", "meta", "payload")


def run(folder: Path, *arguments: str) -> Result:
    """Run `domainstream new` in the process of the test."""
    return CliRunner().invoke(new, [*arguments, "--project", str(folder)], catch_exceptions=False)


def make_project(folder: Path) -> None:
    """Make an empty project."""
    result = CliRunner().invoke(new, ["project", str(folder), "--quiet"], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a project."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def commands(folder: Path, seed: int, count: int) -> Iterator[list[str]]:
    """Yield random commands that fit the state of the project; some of them still break rules."""
    dice = random.Random(seed)
    yield ["service", dice.choice(SERVICES[:5])]
    for _ in range(count):
        kind = dice.choices(["service", "event", "subscriber"], [2, 6, 5])[0]
        services, channels = _services(folder), _channels(folder)
        service = dice.choice(services)
        if kind == "service":
            yield ["service", dice.choice(SERVICES)]
        elif kind == "event":
            internal = ["--internal"] if dice.random() < 0.2 else []
            yield ["event", service, dice.choice(AGGREGATES), dice.choice(EVENTS), *_fields(dice), *internal]
        elif channels:
            other = ["--service", service] if dice.random() < 0.4 else []
            job = ["--job", dice.choice(JOBS)] if dice.random() < 0.5 else []
            yield ["subscriber", dice.choice(channels), dice.choice([service, service, "urgent"]), *other, *job]


def _services(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "services").glob("*") if (path / "pyproject.toml").is_file())


def _channels(folder: Path) -> list[str]:
    text = (folder / CHANNELS).read_text()
    return re.findall(r'"(domain_\w+)"', text)


def _fields(dice: random.Random) -> Iterator[str]:
    for name in dice.sample(FIELDS, dice.choice([0, 0, 1, 2, 4])):
        kind = dice.choice(TYPES)
        yield f"{name}:{dice.choice([kind, kind, f'list[{kind}]', f'{kind}?', f'list[{kind}?]?'])}"


def follow(folder: Path, sequence: Iterator[list[str]]) -> int:
    """Run commands and return how many changed something; a refused or repeated command must change nothing."""
    done = 0
    for command in sequence:
        before = tree(folder)
        result = run(folder, *command, "--quiet")
        after = tree(folder)
        assert result.exit_code in {0, 1, 4}, (command, result.output)
        assert result.exit_code == 0 or after == before, command
        done += after != before
        if result.exit_code == 0:
            again = run(folder, *command, "--quiet")
            assert again.exit_code == 0
            assert tree(folder) == after
    return done


def assert_sound(folder: Path) -> None:
    """Assert that `check` finds nothing, and ruff would change nothing."""
    findings = [f"{finding}; {finding.fix}" for finding in check_project(folder)]
    assert findings == [], findings
    for command in (["check", "--no-cache"], ["format", "--check", "--diff", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def assert_types_and_tests_pass(folder: Path, *pytest_options: str) -> None:
    """Assert that the project passes mypy with its own settings, and its own tests."""
    # For all projects of a test process: what mypy knows of the standard library and of domainstream is not read anew.
    cache = folder.parents[1] / ".mypy_cache"
    for command in (["mypy", "--cache-dir", str(cache)], ["pytest", "-q", *pytest_options]):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False, timeout=200
        )
        assert done.returncode == 0, done.stdout + done.stderr
