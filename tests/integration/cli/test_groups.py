"""`domainstream groups`, `lag` and `pending` show exact numbers."""

import asyncio
import json
from asyncio.subprocess import PIPE
from typing import Any

import pytest
from click.testing import Result
from integration.cli.conftest import COMMAND, Type
from redis.asyncio import Redis
from support.consuming import CALCULATED, EVALUATED, GROUP, Streams, until

from domainstream.testing import EmbeddedServer, server_binaries


def records(result: Result) -> list[dict[str, Any]]:
    """Return the objects that a command wrote."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
async def ids(streams: Streams, redis: Redis) -> list[str]:
    """Ten entries, of which consumer `one` read three and acknowledged one."""
    key = streams.key(EVALUATED)
    ids = [await streams.add_data(EVALUATED, data=b"%d" % number) for number in range(10)]
    await redis.xgroup_create(key, GROUP, id="0")
    await redis.xreadgroup(GROUP, "one", {key: ">"}, count=3)
    await redis.xack(key, GROUP, ids[0])
    return ids


async def test_group_is_shown_exactly(typed: Type, ids: list[str]) -> None:
    """Lag is unread and pending together, and the oldest entry is the oldest of both."""
    (group,) = records(await typed("groups", "--json"))
    assert group["lag"] == 9
    assert group["unread"] == 7
    assert group["pending"] == 2
    assert group["lost"] == 0
    assert group["consumers"] == 1
    assert group["last_delivered_id"] == ids[2]
    assert 0 <= group["oldest_ms"] < 60_000


@pytest.mark.parametrize(("keep", "unread", "lost"), [(8, 7, 0), (5, 5, 2), (0, 0, 7)])
async def test_trimmed_entries_are_lost_and_not_unread(
    typed: Type, streams: Streams, redis: Redis, ids: list[str], keep: int, unread: int, lost: int
) -> None:
    """Entries removed unread count as lost, and removed after reading count nowhere."""
    await redis.xtrim(streams.key(EVALUATED), maxlen=keep, approximate=False)
    (group,) = records(await typed("groups", EVALUATED, "--json"))
    assert group["unread"] == unread
    assert group["lost"] == lost


async def test_unread_entries_are_counted_where_the_server_lost_count(
    typed: Type, streams: Streams, redis: Redis, ids: list[str]
) -> None:
    """After a single unread entry was deleted, the server does not know the lag, but the command counts it."""
    await redis.xdel(streams.key(EVALUATED), ids[5])
    (group,) = records(await typed("groups", "--json"))
    assert group["unread"] == 6


async def test_large_lag_is_counted_page_by_page(typed: Type, streams: Streams, redis: Redis) -> None:
    """More than a thousand entries are counted when the server does not know the lag."""
    key = streams.key(EVALUATED)
    add: Any = redis.eval("for i = 1, 2500 do redis.call('XADD', KEYS[1], '*', 'data', i) end", 1, key)
    await add
    await redis.xgroup_create(key, GROUP, id="0")
    await redis.xreadgroup(GROUP, "one", {key: ">"}, count=10)
    newest: Any = await redis.xrevrange(key, count=2)
    await redis.xdel(key, newest[1][0])
    (group,) = records(await typed("groups", "--json"))
    assert group["unread"] == 2489


async def test_consumers_are_listed(typed: Type, ids: list[str]) -> None:
    """Each consumer is listed with its pending entries."""
    (consumer,) = records(await typed("groups", "--consumers", "--json"))
    assert consumer["group"] == GROUP
    assert consumer["consumer"] == "one"
    assert consumer["pending"] == 2


async def test_channels_without_groups_have_nothing_to_show(typed: Type, streams: Streams) -> None:
    """Without groups, stdout is empty and the exit code is 0."""
    await streams.add_data(CALCULATED, data=b"1")
    for command in ("groups", "lag", "pending"):
        result = await typed(command)
        assert result.exit_code == 0
        assert result.stdout == ""
        assert bool(result.stderr) is True


@pytest.mark.parametrize(("most", "exit_code"), [("8", 1), ("9", 0)])
async def test_lag_above_max_is_a_failure(typed: Type, ids: list[str], most: str, exit_code: int) -> None:
    """A lag above the limit ends with 1 and names the group on stderr; a lag at the limit is fine."""
    result = await typed("lag", "--max", most, "--json")
    assert result.exit_code == exit_code
    assert json.loads(result.stdout)["lag"] == 9
    assert (f"{GROUP} is 9 entries behind on {EVALUATED}" in result.stderr) == (exit_code == 1)


@pytest.mark.parametrize(("longest", "exit_code"), [("10ms", 1), ("1h", 0)])
async def test_entry_that_waits_too_long_is_a_failure(
    typed: Type, ids: list[str], longest: str, exit_code: int
) -> None:
    """An entry older than the limit ends with 1 and names the group on stderr."""
    await until_older_than(typed, milliseconds=20)
    result = await typed("lag", "--max-oldest", longest, "--json")
    assert result.exit_code == exit_code
    assert ("(limit 10 ms)" in result.stderr) == (exit_code == 1)


async def until_older_than(typed: Type, *, milliseconds: int) -> None:
    """Wait until the oldest entry of the lag is older than this."""

    async def is_older() -> bool:
        return bool(records(await typed("groups", "--json"))[0]["oldest_ms"] > milliseconds)

    await until(is_older)


async def test_watching_ends_above_max(typed: Type, streams: Streams, redis: Redis, ids: list[str]) -> None:
    """`--watch` repeats until a lag is above the limit."""
    result = await typed("lag", "--watch", "--every", "10ms", "--max", "3", "--group", GROUP)
    assert result.exit_code == 1


@pytest.mark.parametrize("command", ["lag", "pending"])
async def test_unknown_group_is_not_found(typed: Type, ids: list[str], command: str) -> None:
    """An unknown group ends with 4 and suggests a similar one."""
    result = await typed(command, "--group", "domain-event")
    assert result.exit_code == 4
    assert f"Did you mean {GROUP}?" in result.stderr


async def test_pending_entries_are_listed(typed: Type, ids: list[str]) -> None:
    """Pending entries are listed, oldest first, with their consumer and number of deliveries."""
    found = records(await typed("pending", EVALUATED, "--group", GROUP, "--json"))
    assert [one["entry_id"] for one in found] == ids[1:3]
    assert {(one["consumer"], one["deliveries"]) for one in found} == {("one", 1)}


async def test_pending_entries_are_filtered(typed: Type, ids: list[str]) -> None:
    """Pending entries are filtered by consumer and idle time, and a remark says when `--count` cut the list."""
    assert records(await typed("pending", "--consumer", "two", "--json")) == []
    assert records(await typed("pending", "--idle", "1h", "--json")) == []
    one = await typed("pending", "--count", "1", "--json")
    assert [record["entry_id"] for record in records(one)] == ids[1:2]
    assert "2 pending" in one.stderr


@pytest.mark.parametrize("words", [("groups",), ("groups", "--consumers"), ("lag",), ("pending",)])
async def test_names_need_not_be_text(
    typed: Type, streams: Streams, redis: Redis, ids: list[str], words: tuple[str, ...]
) -> None:
    """Groups and consumers whose names are not UTF-8 are shown, and can be named."""
    key = streams.key(EVALUATED)
    await redis.xgroup_create(key, b"caf\xe9", id="0")
    await redis.xreadgroup(b"caf\xe9", b"\xff", {key: ">"}, count=1)  # type: ignore[arg-type]  # bytes are sent as they are
    groups = [record["group"] for record in records(await typed(*words, "--json"))]
    assert sorted(set(groups)) == ["caf\\xe9", GROUP]
    if "--consumers" not in words and words != ("groups",):
        assert groups.count("caf\\xe9") == len(records(await typed(*words, "--group", "caf\\xe9", "--json"))) == 1


async def test_watching_ends_when_the_server_goes(stream_prefix: str) -> None:
    """A server that goes away ends `--watch` with 3, and the error says where it was."""
    with EmbeddedServer(server_binaries()[0].path) as server:
        async with Redis.from_url(server.url) as client:
            await client.xgroup_create(f"{stream_prefix}{EVALUATED}", GROUP, id="0", mkstream=True)
        words = ["lag", "--watch", "--every", "10ms", "--json", "--redis-url", server.url, "--prefix", stream_prefix]
        process = await asyncio.create_subprocess_exec(*COMMAND, *words, stdout=PIPE, stderr=PIPE)
        assert process.stdout
        assert json.loads(await process.stdout.readline())["lag"] == 0
        server.stop()
        _, errors = await process.communicate()
    assert process.returncode == 3
    assert f"the server at {server.url.removeprefix('redis://')} does not answer" in errors.decode()


@pytest.mark.parametrize("words", [("groups", EVALUATED), ("groups", "ls", EVALUATED)])
async def test_groups_are_listed_without_naming_the_command(
    typed: Type, ids: list[str], words: tuple[str, ...]
) -> None:
    """`groups CHANNEL` is short for `groups ls CHANNEL`."""
    assert [group["group"] for group in records(await typed(*words, "--json"))] == [GROUP]


@pytest.mark.parametrize("name", [b"old reports", b"caf\xe9"])
async def test_unused_group_is_removed(
    typed: Type, streams: Streams, redis: Redis, ids: list[str], name: bytes
) -> None:
    """A group without consumers is removed with its counts, its entries stay in the stream, and other groups remain."""
    await redis.xgroup_create(streams.key(EVALUATED), name, id="0")
    shown = name.decode(errors="backslashreplace")
    (outcome,) = records(await typed("groups", "rm", EVALUATED, shown, "--yes", "--json"))
    assert outcome == {"channel": EVALUATED, "group": shown, "unread": 10, "pending": 0, "dry_run": False}
    assert [group["name"] for group in await redis.xinfo_groups(streams.key(EVALUATED))] == [GROUP.encode()]
    assert await redis.xlen(streams.key(EVALUATED)) == 10


async def test_removal_says_what_it_loses_and_asks(typed: Type, streams: Streams, redis: Redis, ids: list[str]) -> None:
    """Without --yes and without a terminal, the command counts what the group will never handle, and stops."""
    await redis.xgroup_create(streams.key(EVALUATED), "reports", id=ids[2])
    result = await typed("groups", "rm", EVALUATED, "reports")
    assert result.exit_code == 2
    assert "It will never handle its 7 unread and 0 pending entries" in result.stderr
    dry = await typed("groups", "rm", EVALUATED, "reports", "--dry-run")
    assert dry.stdout == f"reports would be removed from {EVALUATED}, with 7 unread and 0 pending entries\n"
    assert len(await redis.xinfo_groups(streams.key(EVALUATED))) == 2


@pytest.mark.parametrize("option", ["--yes", "--dry-run"])
async def test_group_in_use_is_not_removed(
    typed: Type, redis: Redis, streams: Streams, ids: list[str], option: str
) -> None:
    """A group for which a consumer has just read stays: its subscriber would start at the beginning of the stream."""
    result = await typed("groups", "rm", EVALUATED, GROUP, option)
    assert result.exit_code == 1
    assert f"the group {GROUP} is in use: the consumer one has read {EVALUATED} for it" in result.stderr
    assert len(await redis.xinfo_groups(streams.key(EVALUATED))) == 1


async def test_group_to_remove_must_exist(typed: Type, ids: list[str]) -> None:
    """A misspelled group is not found, and a similar one is suggested."""
    result = await typed("groups", "rm", EVALUATED, "domain-event", "--yes")
    assert result.exit_code == 4
    assert f"Did you mean {GROUP}?" in result.stderr
