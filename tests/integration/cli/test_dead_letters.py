"""`domainstream dead-letters`: what it prints, and that it only changes the chosen dead letters."""

import json
from base64 import b64encode
from typing import Any

import pytest
from integration.cli.conftest import Type, store
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from support.consuming import EVALUATED, Streams

from domainstream.errors import ServerOutOfMemoryError
from domainstream.stream import DeadLetter, Delivery, RedisDeadLetterRedrive, RedriveResult
from domainstream.stream.dead_letters import dead_letter_fields


async def test_channels_are_listed_with_their_dead_letters(typed: Type, streams: Streams) -> None:
    """Without a channel, each channel with dead letters is on one line, and their own stream is not listed."""
    await store(streams, b"one", b"two")
    result = await typed("dead-letters", "ls")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split()[:2] == [EVALUATED, "2"]
    assert len(result.stdout.splitlines()) == 2


async def test_dead_letters_of_partitions_are_listed(typed: Type, streams: Streams, redis: Redis) -> None:
    """A partition is a channel of its own, in the order of the numbers."""
    for number in (10, 2):
        await redis.xadd(f"{streams.key(EVALUATED)}:p{number}:dead", {"data": "1"})
    result = await typed("dead-letters", "ls", "--json")
    assert [json.loads(line)["channel"] for line in result.stdout.splitlines()] == [
        f"{EVALUATED}:p2",
        f"{EVALUATED}:p10",
    ]


async def test_empty_list_is_reported_on_stderr(typed: Type) -> None:
    """Without dead letters, stdout is empty and the exit code is 0."""
    result = await typed("dead-letters", "ls")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "There are no dead letters at 127.0.0.1:" in result.stderr


async def test_list_shows_no_data(typed: Type, streams: Streams) -> None:
    """The list shows error and reason, as text and as JSON, and never the payload."""
    ids = await store(streams, b"secret")
    text, as_json = await typed("dead-letters", "ls", EVALUATED), await typed("dead-letters", "ls", EVALUATED, "--json")
    assert ids[0] in text.stdout
    assert "secret" not in text.output + as_json.output
    record = json.loads(as_json.stdout)
    assert record["letter_id"] == ids[0]
    assert record["error"] == "HostileJsonError"
    assert record["has_data"] is True


async def test_list_ends_after_count(typed: Type, streams: Streams) -> None:
    """With `--count` only the oldest are listed, and a remark says that there are more."""
    ids = await store(streams, b"1", b"2", b"3")
    result = await typed("dead-letters", "ls", EVALUATED, "--count", "2", "--json")
    assert [json.loads(line)["letter_id"] for line in result.stdout.splitlines()] == ids[:2]
    assert "2 of 3 dead letters" in result.stderr


@pytest.mark.parametrize("position", [0, 1])
async def test_dead_letter_is_shown_with_its_data(typed: Type, streams: Streams, position: int) -> None:
    """JSON data is shown as it is, its numbers as they were written, and other bytes in Base64."""
    ids = await store(streams, b'{"price": 1.00}', b"\x00\xff\x1b[31m")
    result = await typed("dead-letters", "show", EVALUATED, ids[position], "--json")
    if position == 0:
        assert '"data":{"price":1.00}' in result.stdout
    else:
        assert json.loads(result.stdout)["data_base64"] == b64encode(b"\x00\xff\x1b[31m").decode()


async def test_other_fields_are_shown(typed: Type, streams: Streams) -> None:
    """The fields of an entry without data are shown, long ones cut; `--json` has all that was kept."""
    other = ((b"payload", b"\x1b[2J"), (b"note\xff", b"x" * 600))
    delivery = Delivery(str(EVALUATED), await streams.add_data(EVALUATED, payload=b"x"), None, other=other)
    fields: Any = iter(dead_letter_fields(DeadLetter(delivery, "InvalidEnvelopeError", "no data"), "domain-events"))
    stored: Any = await streams.redis.xadd(f"{streams.key(EVALUATED)}:dead", dict(zip(fields, fields, strict=True)))
    result = await typed("dead-letters", "show", EVALUATED, stored.decode())
    assert "fields   payload: \\x1b[2J\n" in result.stdout
    assert f"note\\xff: {'x' * 500} ...\n" in result.stdout
    as_json = await typed("dead-letters", "show", EVALUATED, stored.decode(), "--json")
    assert json.loads(as_json.stdout)["fields"] == {"payload": "\x1b[2J", "note\\xff": "x" * 600}


async def test_shown_data_cannot_control_the_terminal(typed: Type, streams: Streams) -> None:
    """Escape sequences in an entry's data are escaped."""
    (dead_letter_id,) = await store(streams, b"\x1b[2Jgone\xc2\x9b31m")
    result = await typed("dead-letters", "show", EVALUATED, dead_letter_id)
    assert "\\x1b[2Jgone\\x9b31m" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("words", [("show",), ("redrive", "--yes"), ("redrive", "18-0", "--yes"), ("purge", "--yes")])
async def test_missing_dead_letter_is_not_found(typed: Type, streams: Streams, words: tuple[str, ...]) -> None:
    """A missing dead letter ends the command with 4 and the command that lists them, and changes no other."""
    await store(streams, b"1")
    command, *options = words
    result = await typed("dead-letters", command, EVALUATED, "17-0", *options)
    assert result.exit_code == 4
    assert result.stdout == ""
    assert f"domainstream dead-letters ls {EVALUATED}" in result.stderr
    assert len(await streams.dead(EVALUATED)) == 1


async def test_unknown_channel_suggests_a_similar_one(typed: Type, streams: Streams) -> None:
    """A misspelled channel is not found, and a similar one is suggested, also if it has only dead letters."""
    await store(streams, b"1")
    result = await typed("dead-letters", "ls", EVALUATED.replace("optimization", "optimisation"))
    assert result.exit_code == 4
    assert f"Did you mean {EVALUATED}?" in result.stderr


async def test_chosen_dead_letters_are_redriven(typed: Type, streams: Streams, redis: Redis) -> None:
    """The chosen dead letters become entries of the channel, and the others are kept."""
    ids = await store(streams, b"1", b"2", b"3")
    result = await typed("dead-letters", "redrive", EVALUATED, ids[0], ids[2], "--yes", "--json")
    entry_ids = json.loads(result.stdout)["entry_ids"]
    found: Any = await redis.xrange(streams.key(EVALUATED))
    assert result.exit_code == 0
    assert [(entry_id.decode(), fields[b"data"]) for entry_id, fields in found] == [
        (entry_ids[0], b"1"),
        (entry_ids[1], b"3"),
    ]
    assert [letter[b"data"] for letter in await streams.dead(EVALUATED)] == [b"2"]


async def test_dead_letter_without_data_is_kept(typed: Type, streams: Streams) -> None:
    """`redrive --all` redrives what it can, names what it kept, and ends with 5."""
    await store(streams, b"1", None)
    result = await typed("dead-letters", "redrive", EVALUATED, "--all", "--yes")
    assert result.exit_code == 5
    assert "1 dead letter put back" in result.stdout
    assert "dead-letters purge" in result.stderr
    assert len(await streams.dead(EVALUATED)) == 1


async def test_all_redrives_each_once(typed: Type, streams: Streams) -> None:
    """`redrive --all` redrives more than one page of dead letters, each once."""
    await store(streams, *(b"%d" % number for number in range(1100)))
    result = await typed("dead-letters", "redrive", EVALUATED, "--all", "--yes", "--json")
    assert result.exit_code == 0
    assert len(set(json.loads(result.stdout)["entry_ids"])) == 1100
    assert await streams.dead(EVALUATED) == []


@pytest.mark.parametrize("command", ["redrive", "purge"])
async def test_nothing_is_changed_without_confirmation(typed: Type, streams: Streams, command: str) -> None:
    """Without a terminal and without `--yes`, the count is shown and nothing changes."""
    await store(streams, b"1", b"2")
    result = await typed("dead-letters", command, EVALUATED, "--all")
    assert result.exit_code == 2
    assert "2 dead letters" in result.stderr
    assert "--yes" in result.stderr
    assert len(await streams.dead(EVALUATED)) == 2


@pytest.mark.parametrize("command", ["redrive", "purge"])
async def test_dead_letters_must_be_chosen(typed: Type, command: str) -> None:
    """Neither ids nor `--all` is a usage error, as is a word that is not an id."""
    assert (await typed("dead-letters", command, EVALUATED)).exit_code == 2
    assert (await typed("dead-letters", command, EVALUATED, "newest")).exit_code == 2


async def test_all_dead_letters_are_purged(typed: Type, streams: Streams) -> None:
    """`purge --all` deletes all dead letters and reports how many there were."""
    await store(streams, b"1", b"2")
    result = await typed("dead-letters", "purge", EVALUATED, "--all", "--yes", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"channel": EVALUATED, "purged": 2}
    assert await streams.dead(EVALUATED) == []


@pytest.mark.parametrize(("named", "exit_code"), [(["1"], 4), ([0], 0), ([0, "1"], 5)])
async def test_chosen_dead_letters_are_purged(
    typed: Type, streams: Streams, named: list[int | str], exit_code: int
) -> None:
    """The exit code says whether all of the chosen dead letters, some or none existed."""
    ids = await store(streams, b"1", b"2")
    wanted = [ids[one] if isinstance(one, int) else f"{one}-0" for one in named]
    result = await typed("dead-letters", "purge", EVALUATED, *wanted, "--yes")
    assert result.exit_code == exit_code
    assert bool(result.stderr) == (exit_code > 0)
    assert len(await streams.dead(EVALUATED)) == (2 if exit_code == 4 else 1)


@pytest.mark.parametrize("command", ["redrive", "purge"])
async def test_dead_letter_stored_meanwhile_is_kept(
    typed: Type, streams: Streams, redis_url: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """`--all` means the dead letters that were counted: one that is stored during the question is kept."""
    await store(streams, b"1", b"2")

    def bury_another(question: str, *, yes: bool) -> None:
        with BlockingRedis.from_url(redis_url) as client:
            client.xadd(f"{streams.key(EVALUATED)}:dead", {"data": b"3"})

    monkeypatch.setattr(f"domainstream.cli.dead_letters.{command}.confirm", bury_another)
    assert (await typed("dead-letters", command, EVALUATED, "--all")).exit_code == 0
    assert [letter[b"data"] for letter in await streams.dead(EVALUATED)] == [b"3"]


async def test_partial_redrive_is_reported(typed: Type, streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that rejects the second dead letter ends the command with 5, and the report names what was redriven."""
    await store(streams, b"1", b"2")
    whole = RedisDeadLetterRedrive.redrive
    calls: list[str] = []

    async def once(self: RedisDeadLetterRedrive, channel: str, *, dead_letter_id: str | None = None) -> RedriveResult:
        calls.append(str(dead_letter_id))
        if len(calls) > 1:
            raise ServerOutOfMemoryError("the server's memory is full")
        return await whole(self, channel, dead_letter_id=dead_letter_id)

    monkeypatch.setattr(RedisDeadLetterRedrive, "redrive", once)
    result = await typed("dead-letters", "redrive", EVALUATED, "--all", "--yes", "--json")
    assert result.exit_code == 5
    assert len(json.loads(result.stdout)["entry_ids"]) == 1
    assert "memory is full; to continue, run the same command again" in result.stderr
    assert len(await streams.dead(EVALUATED)) == 1


async def test_channel_without_dead_letters_has_nothing_to_redrive(typed: Type, streams: Streams) -> None:
    """On a channel without dead letters `--all` succeeds at once, and an id is not found."""
    await streams.add_data(EVALUATED, data=b"1")
    assert (await typed("dead-letters", "redrive", EVALUATED, "--all")).exit_code == 0
    assert (await typed("dead-letters", "redrive", EVALUATED, "1-0")).exit_code == 4
    assert (await typed("dead-letters", "purge", EVALUATED, "1-0")).exit_code == 4
