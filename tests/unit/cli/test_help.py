"""The help of all commands: what it shows, and what it may import."""

import json
import subprocess
import sys
import traceback
from collections.abc import Iterator
from importlib.util import find_spec

import click
import pytest
from click.testing import CliRunner

from domainstream.cli.check import FORMAT_NAMES
from domainstream.cli.common.lazy_group import LazyGroup
from domainstream.cli.docs import SPECIFICATIONS
from domainstream.cli.main import COMMANDS, cli
from domainstream.tools.check.formats import FORMATS
from domainstream.tools.docgen import asyncapi

ON_A_SERVER = {
    *("doctor", "streams", "groups", "lag", "pending", "queues", "jobs", "order", "replay", "trace", "dead-letters"),
}
ON_A_DATABASE = {"outbox"}
EXTRAS = {"bullmq", "rich", "libcst", "jinja2", "sqlalchemy", "prometheus_client"}
CLIENT = {"asyncio", "redis", "hiredis", "difflib"}
STAGES = {f"domainstream.{stage}" for stage in ("event", "channel", "publisher", "stream", "queue", "subscriber")}
WORK = {
    *("domainstream.worker", "domainstream.testing", "domainstream.tools.check", "domainstream.tools.docgen"),
    *("domainstream.tools.demo.run", "domainstream.tools.scaffold.system"),
    *("domainstream.tools.serving.serving", "domainstream.tools.serving.logs"),
}

LOADED = """
import json, sys
from click.testing import CliRunner
from domainstream.cli.main import cli
loaded = {}
for words in json.loads(sys.argv[1]):
    before = set(sys.modules)
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0 and "Usage: " in result.output, result.output
    loaded[" ".join(words)] = sorted(set(sys.modules) - before)
print(json.dumps(loaded))
"""


def test_help_names_the_demo() -> None:
    """`domainstream --help` lists the demo."""
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert "demo" in result.output


def test_version_is_printed() -> None:
    """`domainstream --version` prints name and version."""
    result = CliRunner().invoke(cli, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("domainstream, version ")


@pytest.mark.parametrize("words", [["stream"], ["streams", "inf"], ["dead-letter"], ["dead-letters", "rm"]])
def test_unknown_command_suggests_a_similar_one(words: list[str]) -> None:
    """An unknown command ends with 2 and suggests a similar one, also in sub-groups."""
    result = CliRunner().invoke(cli, words)
    meant = {"stream": "streams", "inf": "info", "dead-letter": "dead-letters"}.get(words[-1])
    assert result.exit_code == 2
    assert f"No such command '{words[-1]}'." in result.output
    assert (f"Did you mean {meant}?" in result.output) if meant else ("Did you mean" not in result.output)


def test_help_loads_nothing_of_the_demo() -> None:
    """The command line imports nothing that only the demo needs."""
    program = (
        "import sys; from domainstream.cli.main import cli; "
        "print(sorted({'rich', 'bullmq', 'domainstream.tools.demo.run'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_imports_nothing_heavy() -> None:
    """`domainstream --help` imports neither a client nor anything that only one command needs."""
    command = [sys.executable, "-X", "importtime", "-m", "domainstream", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    heavy = {"asyncio", "redis", "hiredis", "msgspec", "bullmq", "rich", "libcst", "jinja2", "sqlalchemy", "difflib"}
    assert "domainstream" in loaded
    assert loaded & heavy == set()


def leaf_commands(command: click.Command, *words: str) -> Iterator[list[str]]:
    """Yield the words of a command, or of each command in a group, in the order of `COMMANDS`."""
    if not isinstance(command, click.Group):
        yield [*words]
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inside = command.get_command(context, name)
        assert inside is not None
        yield from leaf_commands(inside, *words, name)


def may_load(words: str) -> set[str]:
    """Return what the help of a command may load besides what every command does."""
    group = words.partition(" ")[0]
    if group in ON_A_DATABASE:
        return {*CLIENT, *STAGES, "sqlalchemy", "domainstream.worker"}
    return {*CLIENT, *STAGES} if group in ON_A_SERVER else set()


def test_help_imports_nothing_that_only_the_command_itself_needs() -> None:
    """`--help` loads an extra or a tool of no command, and a client only of one on a server or a database."""
    commands = sorted(leaf_commands(cli), key=lambda words: (words[0] in ON_A_DATABASE, words[0] in ON_A_SERVER))
    program = [sys.executable, "-c", LOADED, json.dumps(commands)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    heavy = {
        words: set(loaded) & (EXTRAS | WORK | CLIENT | STAGES) - may_load(words)
        for words, loaded in json.loads(done.stdout).items()
    }
    assert {"check", "run worker", "run relay", "docs asyncapi", "dead-letters ls", "outbox status"} <= heavy.keys()
    assert [name for name in WORK | STAGES if find_spec(name) is None] == []
    assert {words: names for words, names in heavy.items() if names} == {}


def test_names_that_the_help_repeats_are_those_of_the_tools() -> None:
    """The formats and versions that options offer are all that exist."""
    assert tuple(FORMATS) == FORMAT_NAMES
    assert asyncapi.SPECIFICATIONS == SPECIFICATIONS


@pytest.mark.parametrize("words", [[name] for name in COMMANDS])
def test_every_command_explains_itself(words: list[str]) -> None:
    """`--help` of each command works without a server."""
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0, traceback.format_exception(result.exception)
    assert "Usage: " in result.output


def test_names_of_commands_are_completed() -> None:
    """The shell completes the names of commands, also in a group, without importing any."""
    environment = {"COMP_WORDS": "domainstream dead-letters p", "COMP_CWORD": "2", "_DOMAINSTREAM_COMPLETE": "x"}
    environment["_DOMAINSTREAM_COMPLETE"] = "bash_complete"
    result = CliRunner().invoke(cli, [], env=environment, prog_name="domainstream")
    assert result.output == "plain,purge\n"


def lazy_groups(group: LazyGroup) -> Iterator[LazyGroup]:
    """Yield a group and all lazy groups inside it."""
    yield group
    context = click.Context(group)
    for name in group.lazy:
        command = group.get_command(context, name)
        if isinstance(command, LazyGroup):
            yield from lazy_groups(command)


SUMMARIES = [(group, name, known.summary) for group in lazy_groups(cli) for name, known in group.lazy.items()]


@pytest.mark.parametrize(("group", "name", "summary"), SUMMARIES, ids=[f"{g.name}-{name}" for g, name, _ in SUMMARIES])
def test_summary_in_the_list_is_the_first_paragraph_of_the_help(group: LazyGroup, name: str, summary: str) -> None:
    """The list of commands, which imports none of them, shows the first paragraph of each command's own help."""
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.help is not None
    assert command.help.partition("\n\n")[0] == summary
