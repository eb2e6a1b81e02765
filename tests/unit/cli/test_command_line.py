"""The command line's own rules: what it accepts, what it refuses, how fast it answers."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from domainstream.cli.demo.monorepo import monorepo, source_folders
from domainstream.cli.demo.redis_demo_server import place_of
from domainstream.cli.main import cli


def test_help_names_the_demo() -> None:
    """`domainstream --help` lists the commands."""
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert "demo" in result.output


def test_the_version_is_printed() -> None:
    """`domainstream --version` prints name and version."""
    result = CliRunner().invoke(cli, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("domainstream, version ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--events", "0"], "0 is not in the range x>=1"),
        (["--events", "many"], "'many' is not a valid integer range"),
        (["--redis-url", "localhost:6379"], "expected redis://host:port"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_options_are_usage_errors(arguments: list[str], message: str) -> None:
    """The exit code is 2 and the message says what is wrong."""
    result = CliRunner().invoke(cli, ["demo", *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_help_loads_nothing_of_the_demo() -> None:
    """The group answers at once, because it leaves what only the demo needs unloaded."""
    program = (
        "import sys; from domainstream.cli.main import cli; "
        "print(sorted({'rich', 'bullmq', 'domainstream.cli.demo.run'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_monorepo_is_found_with_all_its_sources() -> None:
    """In a checkout it stands beside `src`, with one package and three services."""
    assert monorepo() == Path(__file__).parents[3] / "examples" / "monorepo"
    assert [folder.parent.name for folder in source_folders()] == ["contracts", "coding", "screenflow", "valuation"]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://localhost:6379/1", "localhost:6379"),
        ("redis://user:secret@example.org:6380", "example.org:6380"),
        ("redis://:p@ss@example.org", "example.org"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
    ],
)
def test_a_place_never_shows_a_password(url: str, place: str) -> None:
    """Messages name host and port, or the socket, and nothing before them."""
    assert place_of(url) == place
