"""What all commands on a server share: connection errors, output, exit codes and help."""

import json
import subprocess
import sys
import traceback
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from integration.cli.conftest import Type, store
from redis.asyncio import Redis
from support.consuming import EVALUATED, GROUP, Streams, evaluated

from domainstream.cli.common.lazy_group import LazyGroup
from domainstream.cli.main import COMMANDS, cli
from domainstream.tools.common.formatting import age, moment

SECRET = "a-secret"
LOOKING = (["streams", "ls"], ["groups"], ["lag"], ["pending"], ["dead-letters", "ls"])


@pytest.mark.parametrize("words", LOOKING)
async def test_unreachable_server_is_reported(typed: Type, words: list[str]) -> None:
    """An unreachable server ends a command with 3 and an error with its place and a fix, without the password."""
    result = await typed(*words, "--redis-url", f"redis://user:{SECRET}@127.0.0.1:1/3")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "the server at 127.0.0.1:1 does not answer" in result.stderr
    assert "--redis-url or REDIS_URL" in result.stderr
    assert SECRET not in result.output


async def test_wrong_password_is_reported(typed: Type, redis_url: str) -> None:
    """A wrong password ends a command with 3, and the error does not repeat it."""
    result = await typed("groups", "--redis-url", redis_url.replace("://", f"://nobody:{SECRET}@"))
    assert result.exit_code == 3
    assert "rejected the user or the password; correct the URL" in result.stderr
    assert SECRET not in result.output


async def test_missing_url_is_reported(typed: Type) -> None:
    """A command without a URL ends with 3 and names the variable to set."""
    result = await typed("groups", REDIS_URL=None)
    assert result.exit_code == 3
    assert "export REDIS_URL=redis://localhost:6379" in result.stderr


@pytest.mark.parametrize(
    "words", [("--redis-url", f"{SECRET}:6379"), ("--redis-url", f"http://{SECRET}"), ("--prefix", "a b")]
)
async def test_wrong_url_or_prefix_is_a_usage_error(typed: Type, words: tuple[str, str]) -> None:
    """An invalid URL or prefix ends a command with 2, and the error shows a valid one."""
    result = await typed("groups", *words)
    assert result.exit_code == 2
    assert "cannot be used" in result.stderr
    assert SECRET not in result.output


async def test_error_of_the_server_is_a_failure(typed: Type, redis: Redis, stream_prefix: str) -> None:
    """A command that the server rejects ends with 1, and prints a traceback only with --debug."""
    bull = f"{stream_prefix}bull"
    await redis.hset(f"{bull}:valuation:meta", "version", "bullmq")
    await redis.set(f"{bull}:valuation:wait", "text")
    command = ("queues", "valuation", "--bull-prefix", bull)
    plain, debug = await typed(*command), await typed(*command, "--debug")
    assert plain.exit_code == 1
    assert debug.exit_code == 1
    assert "Traceback" not in plain.output
    assert "Traceback" in debug.stderr


async def test_unexpected_error_is_reported_without_its_message(typed: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error may quote data, so only its type is printed, and how to see more."""

    async def broken(*_: object) -> list[str]:
        raise ValueError(SECRET)

    monkeypatch.setattr("domainstream.stream.inspection.streams.RedisStreamInspection.channels", broken)
    result = await typed("streams", "ls")
    assert result.exit_code == 1
    assert "ValueError. To see where, add: --debug" in result.stderr
    assert SECRET not in result.output


@pytest.mark.parametrize("words", [["stream"], ["streams", "inf"], ["dead-letter"], ["dead-letters", "rm"]])
def test_unknown_command_suggests_a_similar_one(words: list[str]) -> None:
    """An unknown command ends with 2 and suggests a similar one, also in sub-groups."""
    result = CliRunner().invoke(cli, words)
    meant = {"stream": "streams", "inf": "info", "dead-letter": "dead-letters"}.get(words[-1])
    assert result.exit_code == 2
    assert f"No such command '{words[-1]}'." in result.output
    assert (f"Did you mean {meant}?" in result.output) if meant else ("Did you mean" not in result.output)


def test_help_imports_nothing_heavy() -> None:
    """`domainstream --help` imports neither a client nor anything that only one command needs."""
    command = [sys.executable, "-X", "importtime", "-m", "domainstream", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    heavy = {"asyncio", "redis", "hiredis", "msgspec", "bullmq", "rich", "libcst", "jinja2", "sqlalchemy", "difflib"}
    assert "domainstream" in loaded
    assert loaded & heavy == set()


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


def test_ages_and_moments_are_formatted() -> None:
    """Ages have one unit, moments are in UTC, and a moment out of range stays a number."""
    assert [age(one) for one in (None, -5, 999, 61_000, 7_200_000, 86_400_000 * 3)] == [
        *("-", "0 ms", "999 ms", "1 min", "2 h", "3 d"),
    ]
    assert moment(0) == "1970-01-01T00:00:00.000Z"
    assert moment(2**63) == str(2**63)


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


KEYS_OF_JSON = {
    "streams ls": {"channel", "length", "added", "first_id", "last_id", "groups"},
    "groups": {"channel", "group", "lag", "unread", "pending", "lost", "oldest_ms", "consumers", "last_delivered_id"},
    "lag": {"time_ms", "channel", "group", "lag", "unread", "pending", "oldest_ms"},
    "dead-letters ls": {"channel", "letters", "first_id", "last_id"},
    f"dead-letters ls {EVALUATED}": {
        *("channel", "letter_id", "buried_ms", "group", "entry_id", "error", "reason", "has_data"),
    },
    "doctor": {"check", "status", "words", "mend"},
    "trace opt-event": {
        *("time_ms", "what", "event_type", "event_id", "aggregate_id", "correlation_id", "channel", "entry_id"),
    },
}


@pytest.mark.parametrize("words", KEYS_OF_JSON)
async def test_keys_of_json_output_are_stable(typed: Type, streams: Streams, redis: Redis, words: str) -> None:
    """Scripts read the JSON of commands, so its keys do not follow the names of attributes."""
    await streams.add(evaluated(id="opt-event"))
    await store(streams, b"1")
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    result = await typed(*words.split(), "--json")
    keys = {key for line in result.stdout.splitlines() for key in json.loads(line)}
    assert keys == KEYS_OF_JSON[words]
