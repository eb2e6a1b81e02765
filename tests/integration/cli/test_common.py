"""What all commands on a server share: connection errors, output and exit codes."""

import json

import pytest
from integration.cli.conftest import Type, store
from redis.asyncio import Redis
from support.consuming import EVALUATED, GROUP, Streams, evaluated

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
        *("time_ms", "what", "event_type", "event_id", "aggregate_id", "correlation_id", "happened_ms"),
        *("channel", "entry_id"),
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
