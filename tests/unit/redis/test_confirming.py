"""WAIT stands behind every write, on its connection, and counts for what was written there only."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.fake_nodes import FakeNode, bulk, topology_of

from domainstream.redis.cluster_link import ClusterLink
from domainstream.redis.confirming import Confirmed, known_replicas
from domainstream.redis.errors import ErrorKind, NoReplyError, kind_of
from domainstream.redis.link import RedisLink
from domainstream.redis.scripts import Script
from domainstream.redis.slot_map import SlotMap

SCRIPT = Script.of("return KEYS")
CALL = ("1", "bar")
OK = b"+OK\r\n"
NOSCRIPT = b"-NOSCRIPT No matching script.\r\n"


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    """One node that has all slots."""
    async with FakeNode() as node:
        node.owns(node)
        yield node


@pytest.fixture
async def link(node: FakeNode) -> AsyncIterator[RedisLink]:
    """A link to the node as to a single server."""
    link = RedisLink.from_url(f"redis://{node.address}")
    yield link
    await link.close()


def names(node: FakeNode) -> list[bytes]:
    """Return the names of the commands that the node was given."""
    return [command[0] for command in node.commands]


async def test_reply_says_how_many_replicas_have_the_write(node: FakeNode, link: RedisLink) -> None:
    """One WAIT behind the calls counts for all of them."""
    node.answer(b"+a\r\n", b"+b\r\n", b":2\r\n")
    replies = await link.eval_each_confirmed(SCRIPT, [CALL, CALL], confirm=1, seconds=1)
    assert replies == [Confirmed(b"a", 2, 1, ""), Confirmed(b"b", 2, 1, "")]
    assert names(node) == [b"EVALSHA", b"EVALSHA", b"WAIT"]
    assert 1 <= int(node.commands[-1][2]) < 1000


async def test_script_that_was_not_known_is_waited_for(node: FakeNode, link: RedisLink) -> None:
    """What is repeated with the script's text has a WAIT of its own: the first one came before it."""
    node.answer(NOSCRIPT, b":1\r\n", b"+a\r\n", b":0\r\n")
    replies = await link.eval_each_confirmed(SCRIPT, [CALL], confirm=1, seconds=1)
    assert replies == [Confirmed(b"a", 0, 1, "")]
    assert names(node) == [b"EVALSHA", b"WAIT", b"EVAL", b"WAIT"]


async def test_call_behind_asking_is_waited_for_where_it_ran(node: FakeNode) -> None:
    """A call that goes to the node that its key is moving to is confirmed by the replicas of that node."""
    async with FakeNode() as target:
        link = ClusterLink(SlotMap(topology_of(node)))
        node.answer(f"-ASK 5061 {target.address}\r\n".encode(), b":1\r\n")
        target.answer(OK, b"+a\r\n", OK, b":0\r\n")
        replies = await link.eval_each_confirmed(SCRIPT, [CALL], confirm=1, seconds=1)
        await link.close()
    assert replies == [Confirmed(b"a", 0, 1, "")]
    assert [name for name in names(target) if name != b"ASKING"] == [b"EVALSHA", b"WAIT"]


async def test_error_of_the_script_stays(node: FakeNode, link: RedisLink) -> None:
    """A call that the server rejected is not confirmed by anybody."""
    node.answer(b"-WRONGTYPE no stream\r\n", b":1\r\n")
    (reply,) = await link.eval_each_confirmed(SCRIPT, [CALL], confirm=1, seconds=1)
    assert str(reply).startswith("WRONGTYPE")


async def test_connection_that_breaks_during_the_wait(node: FakeNode, link: RedisLink) -> None:
    """The script has run, and no replica has confirmed it."""
    node.answer(b"+a\r\n", None)
    replies = await link.eval_each_confirmed(SCRIPT, [CALL], confirm=1, seconds=0.2)
    assert replies == [Confirmed(b"a", 0, 1, "there was no answer in time")]


async def test_server_that_does_not_wait_says_why(node: FakeNode, link: RedisLink) -> None:
    """A user who must not say WAIT gets to know it."""
    node.answer(b"+a\r\n", b"-NOPERM no WAIT for you\r\n")
    (reply,) = await link.eval_each_confirmed(SCRIPT, [CALL], confirm=1, seconds=1)
    assert "no WAIT for you" in reply.problem


async def test_disks_are_waited_for_by_another_command(node: FakeNode, link: RedisLink) -> None:
    """The primary's disk counts, and that of every replica; a connection is asked once whether it can."""
    node.answer(b"*2\r\n:1\r\n:0\r\n", bulk(b"connected_slaves:2\r\n"), *[b"+a\r\n", b"*2\r\n:1\r\n:2\r\n"] * 2)
    for _ in range(2):
        replies = await link.eval_each_confirmed(SCRIPT, [CALL], confirm="fsync", seconds=1)
        assert replies == [Confirmed(b"a", 2, 2, "")]
    assert names(node) == [b"WAITAOF", b"INFO", *[b"EVALSHA", b"WAITAOF"] * 2]
    assert node.commands[-1][1:3] == (b"1", b"2")


async def test_disk_of_a_server_without_replicas(node: FakeNode, link: RedisLink) -> None:
    """A server without replicas confirms by its own disk, and by nothing less."""
    written, memory = b"*2\r\n:1\r\n:0\r\n", b"*2\r\n:0\r\n:0\r\n"
    node.answer(written, bulk(b"connected_slaves:0\r\n"), b"+a\r\n", written, b"+b\r\n", memory)
    (first,) = await link.eval_each_confirmed(SCRIPT, [CALL], confirm="fsync", seconds=1)
    (second,) = await link.eval_each_confirmed(SCRIPT, [CALL], confirm="fsync", seconds=1)
    assert first == Confirmed(b"a", 0, 0, "")
    assert "not written them to its disk" in second.problem


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"-ERR unknown command 'WAITAOF', with args\r\n", ErrorKind.FINAL, "use Redis 7.2 or later"),
        (
            b"-ERR WAITAOF cannot be used ... but appendonly is disabled.\r\n",
            ErrorKind.FINAL,
            "CONFIG",
        ),
        (b"-NOPERM no WAITAOF for you\r\n", ErrorKind.FINAL, "no WAITAOF for you"),
        (b"-ERR WAITAOF cannot be used with replica instances.\r\n", ErrorKind.TRANSIENT, "replica"),
    ],
)
async def test_server_that_cannot_confirm_by_disk_is_sent_nothing(
    node: FakeNode, link: RedisLink, answer: bytes, kind: ErrorKind, words: str
) -> None:
    """A server that is too old, or keeps no file, gets nothing that it could never confirm."""
    node.answer(answer)
    (reply,) = await link.eval_each_confirmed(SCRIPT, [CALL], confirm="fsync", seconds=1)
    assert isinstance(reply, NoReplyError)
    assert not reply.sent
    assert kind_of(reply) is kind
    assert words in str(reply)
    assert node.scripts == []


@pytest.mark.parametrize(("connected", "wanted"), [(0, 1), (1, 1), (3, 3)])
async def test_all_replicas_of_a_server_are_at_least_one(
    node: FakeNode, link: RedisLink, connected: int, wanted: int
) -> None:
    """A primary without replicas confirms nothing by itself; the replicas are not counted again at once."""
    info = b"# Replication\r\nrole:master\r\nconnected_slaves:%d\r\nmaster_replid:0\r\n" % connected
    node.answer(bulk(info), *[b"+a\r\n", b":0\r\n"] * 2)
    for _ in range(2):
        replies = await link.eval_each_confirmed(SCRIPT, [CALL], confirm="all", seconds=1)
        assert replies == [Confirmed(b"a", 0, wanted, "")]
    assert names(node).count(b"INFO") == 1


async def test_replicas_are_counted_again_after_a_reconnection(node: FakeNode, link: RedisLink) -> None:
    """After a failover another primary answers, which has other replicas."""
    for connected in (1, 2):
        node.answer(bulk(b"connected_slaves:%d\r\n" % connected), b"+a\r\n", b":1\r\n")
        replies = await link.eval_each_confirmed(SCRIPT, [CALL], confirm="all", seconds=1)
        assert replies == [Confirmed(b"a", 1, connected, "")]
        await link.drop()


async def test_replicas_that_cannot_be_counted(node: FakeNode, link: RedisLink) -> None:
    """Nothing is sent before the replicas are known."""
    node.answer(b"-NOPERM info\r\n")
    (reply,) = await link.eval_each_confirmed(SCRIPT, [CALL], confirm="all", seconds=1)
    assert isinstance(reply, NoReplyError)
    assert not reply.sent
    assert node.scripts == []


async def test_known_replicas_of_a_cluster_are_those_of_the_node() -> None:
    """Replicas that have failed count; those of other primaries do not."""
    nodes = b"\n".join([
        b"aa 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-8191",
        b"bb 10.0.0.2:1@2 slave aa 0 0 1 connected",
        b"cc 10.0.0.3:1@2 slave,fail aa 0 0 1 disconnected",
        b"dd 10.0.0.4:1@2 master - 0 0 2 connected 8192-16383",
        b"ee 10.0.0.5:1@2 slave dd 0 0 2 connected",
    ])  # fmt: skip

    async def exchange(commands: Any, seconds: float) -> list[Any]:
        return [nodes]

    assert await known_replicas(exchange, 1) == 2
