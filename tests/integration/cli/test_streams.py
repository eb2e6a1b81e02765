"""`domainstream streams` shows the streams below the prefix, and nothing else."""

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from integration.cli.conftest import COMMAND, Type, store
from redis.asyncio import Redis
from support.consuming import CALCULATED, EVALUATED, GROUP, Streams, evaluated, until


async def test_channels_are_listed(typed: Type, streams: Streams, redis: Redis) -> None:
    """Streams below the prefix are listed; companions, dead letters, other types and other prefixes are not."""
    await streams.add(evaluated())
    await store(streams, b"1")
    await redis.set(streams.key(CALCULATED), "text")
    await redis.xadd(f"{{{streams.key(EVALUATED)}}}:producers", {"a": "b"})
    result = await typed("streams", "ls", "--json")
    (state,) = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 0
    assert state["channel"] == EVALUATED
    assert state["length"] == 1
    assert state["groups"] == 0


async def test_partitions_are_listed_one_by_one(typed: Type, redis: Redis, stream_prefix: str) -> None:
    """Each partition of a channel is a line, in the order of their numbers."""
    for number in (10, 2, 0):
        await redis.xadd(f"{stream_prefix}orders:p{number}", {"data": "1"})
    await redis.xadd(f"{stream_prefix}orders:parts", {"data": "1"})
    result = await typed("streams", "ls", "--json")
    listed = [json.loads(line)["channel"] for line in result.stdout.splitlines()]
    assert listed == ["orders:p0", "orders:p2", "orders:p10"]


async def test_partitions_are_changed(typed: Type, streams: Streams, redis: Redis) -> None:
    """A channel that is read to its end gets another number of partitions, if the person confirms it."""
    entry_id = await streams.add(evaluated())
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    refused = await typed("streams", "repartition", EVALUATED, "4", "--yes")
    assert refused.exit_code == 1
    assert f"unread or not acknowledged in {EVALUATED} ({GROUP})" in refused.stderr
    await redis.xreadgroup(GROUP, "c", {streams.key(EVALUATED): ">"})
    await redis.xack(streams.key(EVALUATED), GROUP, entry_id)
    tried = await typed("streams", "repartition", EVALUATED, "4", "--dry-run")
    assert tried.stdout == f"{EVALUATED} would be changed from 1 to 4 partitions\n"
    assert await redis.type(streams.key(EVALUATED)) == b"stream"
    changed = await typed("streams", "repartition", EVALUATED, "4", "--yes", "--json")
    assert json.loads(changed.stdout) == {"channel": EVALUATED, "before": 1, "after": 4, "dry_run": False}
    assert await redis.get(streams.key(EVALUATED)) == b"4"
    again = await typed("streams", "repartition", EVALUATED, "4")
    assert again.stdout == f"{EVALUATED} has 4 partitions already\n"


@pytest.mark.parametrize(
    ("words", "code"), [(("domain_coding_stay_crated", "4"), 4), ((EVALUATED, "0"), 2), ((EVALUATED, "1025"), 2)]
)
async def test_wrong_change_of_partitions(typed: Type, streams: Streams, words: tuple[str, str], code: int) -> None:
    """An unknown channel ends with 4, an impossible number with 2; nothing is written."""
    await streams.add(evaluated())
    assert (await typed("streams", "repartition", *words, "--yes")).exit_code == code


async def test_prefix_is_taken_literally(typed: Type, redis: Redis, stream_prefix: str) -> None:
    """Characters that are special in key patterns are literal in a prefix."""
    await redis.xadd(f"{stream_prefix}[a]*:orders", {"data": "1"})
    await redis.xadd(f"{stream_prefix}a:orders", {"data": "1"})
    result = await typed("streams", "ls", "--json", "--prefix", f"{stream_prefix}[a]*:")
    assert [json.loads(line)["channel"] for line in result.stdout.splitlines()] == ["orders"]


async def test_missing_streams_are_reported_on_stderr(typed: Type) -> None:
    """Without streams, stdout is empty, and with -q stderr is empty too."""
    result, quiet = await typed("streams", "ls"), await typed("streams", "ls", "-q")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "There are no streams" in result.stderr
    assert quiet.exit_code == 0
    assert quiet.output == ""


async def test_info_shows_length_memory_and_groups(typed: Type, streams: Streams, redis: Redis) -> None:
    """One object contains the stream, its memory, its dead letters and its groups, and the text shows them too."""
    entry_id = await streams.add(evaluated())
    await store(streams, b"1")
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    record = json.loads((await typed("streams", "info", EVALUATED, "--json")).stdout)
    text = (await typed("streams", "info", EVALUATED)).stdout
    assert record["stream"]["first_id"] == entry_id
    assert record["dead_letters"] == 1
    assert record["groups"][0]["group"] == GROUP
    assert (record["memory_bytes"] > 0) is True
    assert f"{GROUP}: unread 1, pending 0" in text


async def test_stream_without_entries_has_no_oldest(typed: Type, streams: Streams, redis: Redis) -> None:
    """An empty stream is listed without its oldest and newest entry."""
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, mkstream=True)
    assert (await typed("streams", "ls")).stdout.splitlines()[1].split() == [EVALUATED, "0", "0", "1", "-", "-"]
    assert "oldest        -" in (await typed("streams", "info", EVALUATED)).stdout


async def test_unknown_channel_is_not_found(typed: Type, streams: Streams) -> None:
    """An unknown channel ends with 4, and the error names the server, a similar channel and a command."""
    await streams.add(evaluated())
    result = await typed("streams", "info", EVALUATED[:-1])
    assert result.exit_code == 4
    assert result.stdout == ""
    assert f"below the prefix {streams.prefix}. Did you mean {EVALUATED}?" in result.stderr
    assert "run: domainstream streams ls" in result.stderr


@pytest.mark.parametrize("words", [("streams", "info"), ("streams", "tail"), ("groups",), ("dead-letters", "ls")])
async def test_key_of_another_type_is_not_a_channel(
    typed: Type, streams: Streams, redis: Redis, words: tuple[str, ...]
) -> None:
    """A key of another type is not found."""
    await redis.set(streams.key(CALCULATED), "text")
    result = await typed(*words, CALCULATED)
    assert result.exit_code == 4
    assert (f"there is no channel {CALCULATED}" in result.stderr) is True


async def test_newest_entries_are_shown_in_order(typed: Type, streams: Streams) -> None:
    """`tail -n` shows the last entries in order, with their data and its numbers as they were written."""
    for number in range(4):
        await streams.add_data(EVALUATED, data=b'{"n": %d.0}' % number)
    await streams.add_data(EVALUATED, other=b"field")
    result = await typed("streams", "tail", EVALUATED, "-n", "3", "--json")
    assert ['"data":{"n":2.0}' in line for line in result.stdout.splitlines()] == [True, False, False]
    assert "data" not in json.loads(result.stdout.splitlines()[2])


@pytest.mark.parametrize("since", ["1h", "2020-01-31T12:00", "1500000000000"])
async def test_all_entries_since_then_are_shown(typed: Type, streams: Streams, since: str) -> None:
    """`--since` takes a duration, a time or an id, and shows every entry from there on, page by page."""
    for _ in range(501):
        await streams.add_data(EVALUATED, data=b"1")
    result = await typed("streams", "tail", EVALUATED, "--since", since)
    assert len(result.stdout.splitlines()) == 501


async def test_entries_before_since_are_left_out(typed: Type, streams: Streams) -> None:
    """An id names the first entry, and an invalid `--since` is a usage error with examples."""
    ids = [await streams.add_data(EVALUATED, data=b"%d" % number) for number in range(3)]
    result = await typed("streams", "tail", EVALUATED, "--since", ids[1], "--json")
    assert [json.loads(line)["entry_id"] for line in result.stdout.splitlines()] == ids[1:]
    nonsense = await typed("streams", "tail", EVALUATED, "--since", "yesterday")
    assert nonsense.exit_code == 2
    assert "expected 2h or 7d" in nonsense.stderr


def following(*words: str) -> Iterator[str]:
    """Start a command, and return an iterator of two lines that it writes and, after an interrupt, its exit code."""
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return lines_of(process)


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yield two lines of a process; then interrupt it and yield its exit code."""
    with process:
        assert process.stdout
        try:
            yield process.stdout.readline()
            yield process.stdout.readline()
            process.send_signal(signal.SIGINT)
            yield str(process.wait())
        finally:
            process.kill()


async def test_entries_are_followed_as_they_come(streams: Streams, redis_url: str) -> None:
    """`tail -f` shows the stored entries, then new ones, and ends with 130 at Ctrl-C."""
    await streams.add_data(EVALUATED, data=b"1")
    words = ["streams", "tail", EVALUATED, "-f", "--json", "--redis-url", redis_url, "--prefix", streams.prefix]
    lines = following(*words)
    assert json.loads(next(lines))["data"] == 1
    await streams.add_data(EVALUATED, data=b"2")
    assert json.loads(next(lines))["data"] == 2
    assert next(lines) == "130"


async def test_channel_may_come_later(streams: Streams, redis: Redis, redis_url: str) -> None:
    """`tail -f` waits for a channel that has no stream yet, and shows its first entries."""
    words = ["streams", "tail", CALCULATED, "-f", "--json", "--redis-url", redis_url, "--prefix", streams.prefix]
    lines = following(*words)

    async def waits() -> bool:
        clients: Any = await redis.client_list()
        return any(client["cmd"] == "xread" and "b" in client["flags"] for client in clients)

    await until(waits)
    await streams.add_data(CALCULATED, data=b"1")
    await streams.add_data(CALCULATED, data=b"2")
    assert [json.loads(next(lines))["data"] for _ in range(2)] == [1, 2]
    assert next(lines) == "130"
