"""Every command in the pages for operators can be run."""

import re
import shlex
from pathlib import Path

import click
import pytest

from domainstream.cli.main import COMMANDS, cli

PAGES = [Path(__file__).parents[3] / "docs" / "how-to" / name for name in ("operate.md", "run-in-production.md")]
TEXT = "".join(page.read_text(encoding="utf-8") for page in PAGES)
LINES = sorted(set(re.findall(r"^\$ (domainstream .+)$", TEXT, flags=re.MULTILINE)))
OTHERS = {"check", "schema", "demo", "new", "docs"}


@pytest.mark.parametrize("line", LINES)
def test_command_can_be_run(line: str) -> None:
    """Command, options and arguments of each line exist."""
    words = shlex.split(line)[1:]
    context = click.Context(cli, info_name="domainstream")
    command: click.Command = cli
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found
        command, context = found, click.Context(found, parent=context, info_name=found.name)
    command.make_context(command.name, words, parent=context.parent)


def test_every_command_has_an_example() -> None:
    """The pages have an example of every command for operators."""
    shown = {shlex.split(line)[1] for line in LINES}
    assert set(COMMANDS) - OTHERS <= shown
