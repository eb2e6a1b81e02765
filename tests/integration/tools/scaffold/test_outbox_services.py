"""Services that `domainstream new service --outbox` makes."""

import subprocess
import sys
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

EXAMPLE_TEST = "services/valuation/tests/test_handle_stay_coded_job.py"


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A project with two services that have an outbox, one of which handles the other's event."""
    folder = tmp_path / "clinic"
    make_project(folder)
    for arguments in (
        ["service", "coding", "--outbox"],
        ["service", "valuation", "--outbox"],
        ["event", "coding", "stay", "coded", "id:str"],
        ["subscriber", "domain_coding_stay_coded", "valuation"],
    ):
        assert run(folder, *arguments).exit_code == 0
    return folder


def output(clinic: Path, program: str) -> str:
    """Return what a program that imports the services prints."""
    folders = [str(path) for path in clinic.glob("*/*/src")]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path += {folders}\n{program}"],
        cwd=clinic,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_services_with_an_outbox_pass_their_own_checks(clinic: Path) -> None:
    """Linter, type checker, `domainstream check` and the generated tests find nothing; the flow relays the outbox."""
    assert "flow.relay(outbox, engine)" in (clinic / EXAMPLE_TEST).read_text()
    assert_sound(clinic)
    assert_types_and_tests_pass(clinic)


def test_service_explains_how_to_run_its_relay(clinic: Path) -> None:
    """The README names an object that exists."""
    readme = (clinic / "services/coding/README.md").read_text()
    assert "domainstream run relay coding.bootstrap:outbox" in readme
    assert output(clinic, "from coding.bootstrap import outbox; print(outbox.table.name)") == "coding_outbox\n"
    assert "domainstream[bullmq,cli,outbox]" in (clinic / "services/coding/pyproject.toml").read_text()


def test_metadata_has_all_tables(clinic: Path) -> None:
    """Migrations that are made from the metadata keep the archive, which the service creates too."""
    program = "from coding.infrastructure_layer.events.coding_outbox import metadata; print(*sorted(metadata.tables))"
    assert output(clinic, program) == "coding_outbox coding_outbox_relay coding_outbox_sent\n"


def test_handlers_share_one_connection_to_sqlite(clinic: Path) -> None:
    """SQLite has one writer at a time, so a second connection would only wait for the lock of the first."""
    program = """
import asyncio
from coding.infrastructure_layer.persistence.database import open_database

async def size():
    async with open_database("sqlite+aiosqlite:///coding.db") as engine:
        print(engine.pool.size() + engine.pool._max_overflow)

asyncio.run(size())
"""
    assert output(clinic, program) == "1\n"


def test_second_run_has_nothing_to_do(clinic: Path) -> None:
    """Running the command again, with the option or without, changes nothing."""
    before = tree(clinic)
    for options in (["--outbox"], []):
        result = run(clinic, "service", "coding", *options)
        assert result.exit_code == 0
        assert "nothing to do" in result.stderr
    assert tree(clinic) == before


def test_service_without_an_outbox_gets_none(clinic: Path) -> None:
    """An existing service is refused, because its own code would have to change, and nothing is written."""
    assert run(clinic, "service", "billing").exit_code == 0
    before = tree(clinic)
    result = run(clinic, "service", "billing", "--outbox")
    assert result.exit_code == 1
    assert "it exists without one" in result.stderr
    assert tree(clinic) == before


@pytest.mark.parametrize(("seed", "width"), [(3, 120), (4, 79)])
def test_project_stays_sound(tmp_path: Path, seed: int, width: int) -> None:
    """After any sequence of commands and with any line length, `check` and ruff find nothing beside the outboxes."""
    folder = tmp_path / "project"
    make_project(folder)
    settings = folder / "pyproject.toml"
    settings.write_text(settings.read_text().replace("line-length = 120", f"line-length = {width}"))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet"], cwd=folder, check=True)
    for service in ("coding", "a", "medical-billing2"):
        assert run(folder, "service", service, "--outbox").exit_code == 0
    assert follow(folder, commands(folder, seed, count=15)) > 5
    assert_sound(folder)
