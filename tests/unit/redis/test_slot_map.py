"""The slot map knows the slot of a key, and learns who has it from the node that is most likely to know."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot as key_slot_of_redis_py
from support.fake_nodes import FakeNode, topology_of, two_nodes

from domainstream.errors import ServerRefusedError
from domainstream.redis import slot_map
from domainstream.redis.errors import NoReplyError, server_error
from domainstream.redis.keys import companion_key
from domainstream.redis.slot_map import SLOTS, SlotMap, key_slot
from domainstream.redis.topology import Address


@pytest.fixture
async def nodes() -> AsyncIterator[tuple[FakeNode, FakeNode]]:
    """Two nodes: the lower and the upper half of the slots."""
    async with two_nodes() as nodes:
        yield nodes


@pytest.fixture
def slots(nodes: tuple[FakeNode, FakeNode]) -> SlotMap:
    """A map that knows nothing but the two nodes."""
    return SlotMap(topology_of(*nodes))


@given(st.text("ab{}:é", max_size=12))
def test_slot_of_a_key(key: str) -> None:
    """Any key has the slot that redis-py computes, with braces wherever they stand."""
    assert key_slot(key) == key_slot(key.encode()) == key_slot_of_redis_py(key.encode())


@given(st.from_regex(r"\A[a-z:]{0,5}(\{[a-z]{1,5}\})?[a-z_]{1,8}\Z"))
def test_companion_lies_in_the_slot_of_its_stream(key: str) -> None:
    """What belongs to a stream can be written by the script that writes the stream."""
    assert key_slot(companion_key(key, "producer:1")) == key_slot(key)


async def test_owners_are_learned_from_one_node(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """One answer names the owner of every slot."""
    low, high = nodes
    await slots.refresh()
    assert [slots.owner(slot) for slot in (0, 8191, 8192, SLOTS - 1)] == [low.address] * 2 + [high.address] * 2
    assert slots.primaries() == [low.address, high.address]
    assert low.asked + high.asked == 1


async def test_version_grows_only_with_a_change(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """An answer that says the same leaves the version as it was."""
    await slots.refresh()
    first = slots.version
    await slots.refresh()
    slots.moved(0, nodes[0].address)
    assert slots.version == first
    slots.moved(0, nodes[1].address)
    assert slots.version == first + 1


async def test_node_in_doubt_is_asked_last(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """The node that did not answer a call is asked only when no other node answers."""
    low, high = nodes
    await slots.refresh(not_from=low.address)
    await high.stop()
    await slots.refresh(not_from=low.address)
    assert [low.asked, high.asked] == [1, 1]


async def test_node_that_is_cut_off_is_not_believed(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """A node that takes the cluster for down counts only if no node takes it for sound."""
    low, high = nodes
    low.sound = False
    low.owners.clear()
    low.owns(low)
    await slots.refresh()
    assert slots.owner(SLOTS - 1) == high.address


async def test_doubtful_answer_is_better_than_none(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """During an election every node takes the cluster for down, and still knows most owners."""
    for node in nodes:
        node.sound = False
    await slots.refresh()
    assert slots.owner(0) == nodes[0].address


async def test_node_without_slots_is_not_believed(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """A node that was reset knows no slot, and does not make us forget them."""
    nodes[0].owners.clear()
    await slots.refresh()
    assert slots.owner(0) == nodes[0].address


async def test_silent_node_is_asked_behind_the_others_from_then_on(
    nodes: tuple[FakeNode, FakeNode], slots: SlotMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that hangs costs its time once, also when the caller did not wait for that to pass."""
    nodes[0].silent = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await slots.refresh()
    monkeypatch.setattr(slot_map, "ANSWER_TIME", 3600.0)
    await slots.refresh()
    assert nodes[1].asked == 1


async def test_calls_that_wait_share_an_answer(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """Of many calls at a time, the first asks, and the others share one later answer."""
    await asyncio.gather(*(slots.refresh() for _ in range(10)))
    assert nodes[0].asked + nodes[1].asked == 2


async def test_news_that_come_during_a_question_stay(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """What a node said about a slot after the question was asked is not overwritten by the answer."""
    low, high = nodes
    await slots.refresh()
    refresh = asyncio.create_task(slots.refresh())
    await asyncio.sleep(0)
    slots.moved(0, high.address)
    await refresh
    assert slots.owner(0) == high.address
    await slots.refresh()
    assert slots.owner(0) == low.address


async def test_node_that_does_not_know_its_name_is_where_it_was_asked(
    nodes: tuple[FakeNode, FakeNode], slots: SlotMap
) -> None:
    """A node without a name of its own is reached by the one under which it answered."""
    for node in nodes:
        node.owners = [(0, SLOTS - 1, [Address("", 7000)])]
    await slots.refresh()
    assert slots.owner(0) == Address("127.0.0.1", 7000)


async def test_replica_tells_who_has_the_slots_when_the_primary_is_gone(nodes: tuple[FakeNode, FakeNode]) -> None:
    """Nodes that the URL does not name are asked too."""
    low, high = nodes
    low.owners.clear()
    low.owns(low, high)
    high.owners.clear()
    high.owns(high)
    slots = SlotMap(topology_of(low))
    await slots.refresh()
    await low.stop()
    await slots.refresh(not_from=low.address)
    assert slots.owner(0) == high.address


async def test_no_node_that_answers(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """When no node answers, nothing changes and the caller hears why."""
    for node in nodes:
        await node.stop()
    with pytest.raises(NoReplyError):
        await slots.refresh()
    assert slots.version == 0


async def test_server_that_is_no_cluster(nodes: tuple[FakeNode, FakeNode], slots: SlotMap) -> None:
    """A server without cluster mode says so, which no repeat changes."""
    for node in nodes:
        node.refusal = b"-ERR This instance has cluster support disabled\r\n"
    with pytest.raises(NoReplyError) as refused:
        await slots.refresh()
    assert isinstance(server_error(refused.value, "here"), ServerRefusedError)
