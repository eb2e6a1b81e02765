"""The link to a cluster follows the keys, and keeps the nodes apart."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ClusterDownError, NoPermissionError, ReadOnlyError, TryAgainError
from support.fake_nodes import FakeNode, topology_of, two_nodes

from domainstream.errors import ServerUnavailableError
from domainstream.redis.cluster_link import HOPS, ClusterLink
from domainstream.redis.errors import NoReplyError
from domainstream.redis.link import Arguments
from domainstream.redis.scripts import Script
from domainstream.redis.slot_map import SlotMap, key_slot

SCRIPT = Script.of("return KEYS")
LOW, HIGH = "bar", "foo"
"""Keys of slots 5061 and 12182."""

NOSCRIPT = b"-NOSCRIPT No matching script.\r\n"


def call(key: str) -> Arguments:
    """Return a call of the script with one key."""
    return ("1", key)


def moved(key: str, to: FakeNode) -> bytes:
    """Return the reply that names the owner of a key."""
    return f"-MOVED {key_slot(key)} {to.address}\r\n".encode()


def ask(key: str, to: FakeNode) -> bytes:
    """Return the reply that names the node to which a key is moving."""
    return f"-ASK {key_slot(key)} {to.address}\r\n".encode()


@pytest.fixture
async def nodes() -> AsyncIterator[tuple[FakeNode, FakeNode]]:
    """Two nodes: the lower and the upper half of the slots."""
    async with two_nodes() as nodes:
        yield nodes


@pytest.fixture
async def link(nodes: tuple[FakeNode, FakeNode]) -> AsyncIterator[ClusterLink]:
    """A link that knows the first node only."""
    link = ClusterLink(SlotMap(topology_of(nodes[0])))
    yield link
    await link.close()


async def test_each_call_goes_to_the_node_of_its_key(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """Replies stand in the order of the calls, whichever node gave them, and one node was asked for the map once."""
    replies = await link.eval_each(SCRIPT, [call(HIGH), call(LOW), call(HIGH)])
    assert replies == [b"high", b"low", b"high"]
    assert [node.asked for node in nodes] == [1, 0]


async def test_moved_call_is_repeated_at_the_owner(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """After MOVED the call runs at the node that was named, and the next one goes there at once."""
    low, high = nodes
    low.answer(moved(LOW, high))
    assert await link.eval_each(SCRIPT, [call(LOW)]) == [b"high"]
    assert await link.eval_each(SCRIPT, [call(LOW)]) == [b"high"]
    assert len(low.commands) == 1


async def test_only_the_moved_call_is_repeated(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """What a node has answered is not sent again when the call beside it has to go elsewhere."""
    low, high = nodes
    low.answer(b"+first\r\n", moved("{b}x", high), b"+third\r\n")
    replies = await link.eval_each(SCRIPT, [call(LOW), call("{b}x"), call(LOW)])
    assert replies == [b"first", b"high", b"third"]
    assert high.scripts == [(b"EVALSHA", b"1", b"{b}x")]


async def test_asked_call_goes_behind_asking_and_the_map_stays(
    nodes: tuple[FakeNode, FakeNode], link: ClusterLink
) -> None:
    """After ASK the call runs behind ASKING at the node that was named; the next one goes to the owner again."""
    low, high = nodes
    low.answer(ask(LOW, high))
    assert await link.eval_each(SCRIPT, [call(LOW)]) == [b"high"]
    assert [command[0] for command in high.commands] == [b"ASKING", b"EVALSHA"]
    assert await link.eval_each(SCRIPT, [call(LOW)]) == [b"low"]


async def test_script_that_the_target_does_not_have_goes_behind_another_asking(
    nodes: tuple[FakeNode, FakeNode], link: ClusterLink
) -> None:
    """NOSCRIPT has used the ASKING up, so the script's text goes behind one of its own."""
    low, high = nodes
    low.answer(ask(LOW, high))
    high.answer(b"+OK\r\n", NOSCRIPT)
    assert await link.eval_each(SCRIPT, [call(LOW)]) == [b"high"]
    assert [command[0] for command in high.commands] == [b"ASKING", b"EVALSHA", b"ASKING", b"EVAL"]


async def test_calls_with_and_without_asking_share_a_node(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """A call that is sent behind ASKING to a node that has others to answer gets its own reply, and so do they."""
    low, high = nodes
    await link.eval_each(SCRIPT, [call(HIGH)])
    low.answer(ask("{b}x", high), moved(LOW, high))
    high.answer(b"+OK\r\n", b"+asked\r\n", b"+moved\r\n")
    assert await link.eval_each(SCRIPT, [call("{b}x"), call(LOW)]) == [b"asked", b"moved"]


async def test_rejected_asking_is_the_reply(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """A user who must not say ASKING gets that error, not the MOVED that follows from it."""
    low, high = nodes
    low.answer(ask(LOW, high))
    high.answer(b"-NOPERM asking\r\n", moved(LOW, low))
    (reply,) = await link.eval_each(SCRIPT, [call(LOW)])
    assert isinstance(reply, NoPermissionError)


async def test_each_node_learns_the_script(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """NOSCRIPT of one node is answered with the text there, and only there."""
    low, high = nodes
    high.answer(NOSCRIPT)
    assert await link.eval_each(SCRIPT, [call(LOW), call(HIGH)]) == [b"low", b"high"]
    assert [command[0] for command in low.scripts] == [b"EVALSHA"]
    assert [command[0] for command in high.scripts] == [b"EVALSHA", b"EVAL"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(b"TRYAGAIN Multiple keys", TryAgainError), (b"CLUSTERDOWN The cluster is down", ClusterDownError)],
)
async def test_error_of_a_cluster_in_motion_is_passed_on(
    nodes: tuple[FakeNode, FakeNode], link: ClusterLink, error: bytes, expected: type[Exception]
) -> None:
    """The caller decides whether and when to repeat a call that no node can run now."""
    nodes[0].answer(b"-" + error + b"\r\n")
    (reply,) = await link.eval_each(SCRIPT, [call(LOW)])
    assert isinstance(reply, expected)


async def test_node_that_became_a_replica_leads_to_a_new_map(
    nodes: tuple[FakeNode, FakeNode], link: ClusterLink
) -> None:
    """After READONLY another node is asked who has the slots, and the next call goes there."""
    low, high = nodes
    await link.eval_each(SCRIPT, [call(LOW)])
    low.answer(b"-READONLY You can't write against a read only replica.\r\n")
    high.owners.clear()
    high.owns(high)
    (reply,) = await link.eval_each(SCRIPT, [call(LOW)])
    assert isinstance(reply, ReadOnlyError)
    assert await link.eval_each(SCRIPT, [call(LOW)]) == [b"high"]


async def test_dead_node_leads_to_a_new_map(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """A node that is gone names nobody, so another one is asked before the next call."""
    low, high = nodes
    await link.eval_each(SCRIPT, [call(LOW)])
    await low.stop()
    high.owners.clear()
    high.owns(high)
    (reply,) = await link.eval_each(SCRIPT, [call(LOW)])
    assert isinstance(reply, NoReplyError)
    assert await link.eval_each(SCRIPT, [call(LOW)]) == [b"high"]


async def test_silent_node_costs_the_others_nothing(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """When one node does not answer in time, the replies of the others are there nevertheless."""
    nodes[0].answer(None)
    lost, reply = await link.eval_each(SCRIPT, [call(LOW), call(HIGH)], seconds=0.2)
    assert isinstance(lost, NoReplyError)
    assert lost.sent
    assert reply == b"high"


async def test_nodes_that_disagree_are_not_asked_for_ever(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """Two nodes that each name the other get a pause before the call is repeated."""
    low, high = nodes
    low.answer(*[moved(LOW, high)] * HOPS)
    high.answer(*[moved(LOW, low)] * HOPS)
    (reply,) = await link.eval_each(SCRIPT, [call(LOW)])
    assert isinstance(reply, TryAgainError)
    assert len(low.commands) + len(high.commands) == HOPS


async def test_slot_without_owner_is_said_to_be_without(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """A call whose slot no node has is not sent; the others are."""
    for node in nodes:
        node.owners.clear()
        node.owns(nodes[1], first=8192)
    missing, reply = await link.eval_each(SCRIPT, [call(LOW), call(HIGH)])
    assert isinstance(missing, NoReplyError)
    assert not missing.sent
    assert isinstance(missing.cause, ClusterDownError)
    assert reply == b"high"


async def test_no_node_at_all_is_a_missing_connection(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """When nothing listens at the addresses of the URL, nothing was sent."""
    await nodes[0].stop()
    with pytest.raises(ServerUnavailableError, match=f"no connection to the server at {nodes[0].address}"):
        await link.run(SCRIPT, [call(LOW)])


async def test_single_command_follows_its_key(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """`ask` takes MOVED and ASK like a script."""
    low, high = nodes
    low.answer(ask(LOW, high), moved(LOW, high))
    assert await link.ask(("SET", LOW, "1"), seconds=1) == b"high"
    assert await link.ask(("SET", LOW, "1"), seconds=1) == b"high"
    assert [command[0] for command in high.commands] == [b"ASKING", b"SET", b"SET"]


async def test_commands_of_one_slot_keep_what_was_answered(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """`send` raises when a reply is missing, and gives those that came before."""
    nodes[0].answer(b"+first\r\n", None)
    replies: list[object] = []
    with pytest.raises(ServerUnavailableError, match="was lost before the reply"):
        await link.send(("SET", LOW, "1"), ("SET", LOW, "2"), seconds=0.2, replies=replies)
    assert replies == [b"first"]


async def test_connection_to_a_node_that_left_is_closed(nodes: tuple[FakeNode, FakeNode], link: ClusterLink) -> None:
    """A link holds no connection to a node that has no slot any more."""
    low, high = nodes
    await link.eval_each(SCRIPT, [call(LOW), call(HIGH)])
    for node in nodes:
        node.owners.clear()
        node.owns(high)
    low.answer(b"-CLUSTERDOWN The cluster is down\r\n")
    await link.eval_each(SCRIPT, [call(LOW)])
    await link.eval_each(SCRIPT, [call(LOW)])
    async with asyncio.timeout(5):
        await low.deserted.wait()
    assert await link.eval_each(SCRIPT, [call(LOW)]) == [b"high"]
