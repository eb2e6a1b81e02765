"""Every command in docs/how-to/operate.md can be run."""

import re
import shlex
from pathlib import Path

import click
import pytest

from domainstream.cli.main import COMMANDS, cli

PAGE = (Path(__file__).parents[3] / "docs/how-to/operate.md").read_text(encoding="utf-8")
LINES = sorted(set(re.findall(r"^\$ (domainstream .+)$", PAGE, flags=re.MULTILINE)))
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
    """The page has an example of every command for operators."""
    shown = {shlex.split(line)[1] for line in LINES}
    assert set(COMMANDS) - OTHERS <= shown
