"""`domainstream doctor` on channels with partitions: whose number counts, what is left behind, and where they lie."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from integration.cli.conftest import Type
from redis.asyncio import Redis
from support.checking import CHANNELS, small_system, write_system
from support.consuming import GROUP
from support.publishing import messages, outcomes

from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.channel.partitions import streams_of, targets_of
from domainstream.redis.slot_map import key_slot
from domainstream.redis.topology import Address
from domainstream.tools.doctor.partition_checks import ChannelLayout, partition_findings

CHANNEL = "domain_coding_stay_created"
A, B, C = (Address(f"10.0.0.{number}", 6379) for number in range(1, 4))


def found(result: Result) -> list[dict[str, Any]]:
    """Return what the doctor says about partitions."""
    return [one for one in map(json.loads, result.stdout.splitlines()) if one["check"] == "partitions"]


def bad(result: Result) -> dict[str, Any]:
    """Return the only finding about partitions that is not `ok`."""
    (one,) = [one for one in found(result) if one["status"] != "ok"]
    return one


async def publish(url: str, prefix: str, partitions: int, count: int = 1) -> None:
    """Publish so many events to each partition."""
    async with RedisStreamPublisherClient.from_url(url, prefix=prefix) as client:
        for target in targets_of(CHANNEL, partitions):
            assert outcomes(await client.publish(messages(target, count))) == {Outcome.PUBLISHED}


def system_with(root: Path, partitions: int) -> str:
    """Write a system whose channel has so many partitions; return its folder."""
    code = (
        "from domainstream import EventPublisherChannel\n\n\n"
        f'class Channel(EventPublisherChannel, partitions={{"{CHANNEL.upper()}": {partitions}}}):\n'
        f'    {CHANNEL.upper()} = "{CHANNEL}"\n'
    )
    return str(write_system(root, {**small_system(), CHANNELS: code}))


async def test_partitions_of_one_number_are_fine(
    typed: Type, redis_url: str, stream_prefix: str, tmp_path: Path
) -> None:
    """Where server and code have the same number, and nothing is left in other streams, the doctor counts channels."""
    await publish(redis_url, stream_prefix, 4)
    (one,) = found(await typed("doctor", "--json", "--system", system_with(tmp_path, 4)))
    assert (one["status"], one["words"]) == ("ok", "1 channel with partitions found")


async def test_channels_without_partitions_are_not_mentioned(typed: Type, redis_url: str, stream_prefix: str) -> None:
    """Without partitions, the doctor says nothing about them."""
    await publish(redis_url, stream_prefix, 1)
    assert found(await typed("doctor", "--json")) == []


@pytest.mark.parametrize(
    ("server", "code", "words"),
    [
        (4, 8, "has 4 partitions at the server and 8 partitions in the code"),
        (1, 4, "has one stream at the server and 4 partitions in the code"),
        (4, 1, "has 4 partitions at the server and one stream in the code"),
    ],
)
async def test_other_number_in_the_code(
    typed: Type, redis_url: str, stream_prefix: str, tmp_path: Path, server: int, code: int, words: str
) -> None:
    """Another number in the code than at the server is a problem, and the printed command changes the server's."""
    await publish(redis_url, stream_prefix, server)
    doctor = ("doctor", "--json", "--system", system_with(tmp_path, code))
    problem = bad(await typed(*doctor))
    assert problem["status"] == "problem"
    assert words in problem["words"]
    refused = await typed(*shlex.split(problem["mend"])[1:], "--yes")
    assert "no group reads it" in refused.output


async def test_nobody_has_written_a_number_yet(typed: Type, tmp_path: Path) -> None:
    """Before anything is published, the code's number is nobody else's."""
    result = await typed("doctor", "--json", "--system", system_with(tmp_path, 8))
    assert [one["status"] for one in found(result)] == ["ok"]


async def test_folder_without_a_system(typed: Type, tmp_path: Path) -> None:
    """A folder without a system is an error, and not a system without partitions."""
    result = await typed("doctor", "--system", str(tmp_path))
    assert result.exit_code == 4
    assert "There is no project" in result.output


async def test_change_that_is_not_finished(typed: Type, redis: Redis, redis_url: str, stream_prefix: str) -> None:
    """A change whose command died is a problem, and the printed command finishes it."""
    await publish(redis_url, stream_prefix, 4)
    for stream in streams_of(CHANNEL, 4):
        await redis.xtrim(f"{stream_prefix}{stream}", maxlen=0, approximate=False)
    await redis.set(f"{stream_prefix}{CHANNEL}", "4>8")
    problem = bad(await typed("doctor", "--json"))
    assert "is being changed from 4 to 8 partitions" in problem["words"]
    done = await typed(*shlex.split(problem["mend"])[1:], "--yes")
    assert done.exit_code == 0, done.output
    assert [one["status"] for one in found(await typed("doctor", "--json"))] == ["ok"]


@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
async def test_entries_in_streams_of_an_earlier_number(
    typed: Type, redis: Redis, redis_url: str, stream_prefix: str, *, read: bool
) -> None:
    """Entries in streams that the number does not have are a problem until every group has acknowledged them."""
    await publish(redis_url, stream_prefix, 4, count=3)
    left = f"{stream_prefix}{CHANNEL}:p3"
    for stream in streams_of(CHANNEL, 4):
        await redis.xgroup_create(f"{stream_prefix}{stream}", GROUP, id="0")
    await redis.set(f"{stream_prefix}{CHANNEL}", "3")
    if read:
        entries: Any = await redis.xreadgroup(GROUP, "one", {left: ">"})
        await redis.xack(left, GROUP, *[entry_id for entry_id, _ in entries[0][1]])
        assert [one["status"] for one in found(await typed("doctor", "--json"))] == ["ok"]
        return
    problem = bad(await typed("doctor", "--json"))
    assert f"3 in {CHANNEL}:p3." in problem["words"]
    assert problem["mend"] == f"domainstream streams repartition {CHANNEL} 4"


async def test_entries_that_no_group_reads_are_left_behind_too(
    typed: Type, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """The partitions of a channel that is one stream again are counted also where there is no group."""
    await publish(redis_url, stream_prefix, 2, count=3)
    await redis.delete(f"{stream_prefix}{CHANNEL}")
    await redis.xadd(f"{stream_prefix}{CHANNEL}", {"data": "1"})
    words = bad(await typed("doctor", "--json"))["words"]
    assert "has one stream" in words
    assert f"3 in {CHANNEL}:p0, 3 in {CHANNEL}:p1" in words


def lying(*nodes: Address) -> ChannelLayout:
    """Return a channel whose partitions lie on these nodes."""
    names = streams_of(CHANNEL, len(nodes))
    return ChannelLayout(channel=CHANNEL, written=str(len(nodes)), nodes=dict(zip(names, nodes, strict=True)))


@pytest.mark.parametrize(
    ("nodes", "crowded"),
    [
        ((A, B, C), []),
        ((A, A, C), [A]),
        ((A, A, A, A, B, B, C, C), [A]),
        ((A, A, A, B, B, B, C, C), []),
        ((A, A, A, A, B, B, B, B), [A, B]),
        ((A, A, A, A, A, B, B, B, B, C, C, C), []),
        ((A, A), [A]),
    ],
)
def test_node_with_more_than_its_share(nodes: tuple[Address, ...], crowded: list[Address]) -> None:
    """A node with one and a half times its share of a channel's partitions, or more, is named."""
    findings = partition_findings([lying(*nodes)], primaries=[A, B, C])
    assert [one.node for one in findings if one.status != "ok"] == list(map(str, crowded))


def test_partitions_to_move_are_named() -> None:
    """The finding says which partitions a node has, which to move, and which node has fewest."""
    nodes = (A, A, B, A, A, B, C, B)
    first, *_ = partition_findings([lying(*nodes)], primaries=[A, B, C], prefix="a:", moves_slots=True)
    assert "4 of the 8 partitions of domain_coding_stay_created lie on one of 3 nodes: p0, p1, p3, p4" in first.words
    assert "Move the slot of p4 to a node with fewer, as 10.0.0.3:6379, which has 1" in first.words
    slot = key_slot(f"a:{CHANNEL}:p4")
    move = f"redis-cli -h 10.0.0.1 -p 6379 CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE"
    assert first.fix == f'{move} "$(redis-cli -h 10.0.0.3 -p 6379 CLUSTER MYID)"'


def test_one_slot_for_all_is_nobodys_mistake() -> None:
    """With a hash tag in the prefix all partitions lie in one slot, which no move can spread."""
    findings = partition_findings([lying(A, A, A)], primaries=[A, B, C], prefix="{shop}:")
    assert [one.status for one in findings] == ["ok"]
