"""The client of one slot follows what the nodes say, and repeats nothing that may have been run."""

from typing import Any

import pytest
from redis.exceptions import AskError, MovedError, ReadOnlyError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from domainstream.redis.slot_client import SlotClient
from domainstream.redis.slot_map import SlotMap, key_slot
from domainstream.redis.topology import Address, RedisTopology

KEY = "bull:{valuation}:"
ONE, TWO, THREE = (Address("127.0.0.1", port) for port in (7001, 7002, 7003))


class Nodes:
    """Three nodes that answer as a test wants; it records what each is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[int, str]] = []
        self.answers: dict[Address, list[Any]] = {ONE: [], TWO: [], THREE: []}
        nodes = self

        class Client:
            def __init__(self, address: Address) -> None:
                self._address = address

            def execute_command(self, command: str, *_: Any) -> Any:
                nodes.sent.append((self._address.port, command))
                if command == "ASKING":
                    return b"OK"
                answer = nodes.answers[self._address].pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer

            def close(self) -> None:
                """Do nothing."""

        def connect(topology: RedisTopology, *, client_name: str) -> Client:
            return Client(topology.seeds[0])

        monkeypatch.setattr("domainstream.redis.slot_client.connect_blocking", connect)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """Three nodes."""
    return Nodes(monkeypatch)


@pytest.fixture
def client() -> SlotClient:
    """A client that knows all three."""
    slots = SlotMap(RedisTopology.of("redis+cluster://127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003"))
    return SlotClient(slots, KEY, client_name="test")


def moved(to: Address) -> MovedError:
    """Say that a node has the slot."""
    return MovedError(f"{key_slot(KEY)} {to}")


def test_moved_is_followed_and_remembered(client: SlotClient, nodes: Nodes) -> None:
    """A call goes to the node that another one names, and the next call goes there at once."""
    nodes.answers = {ONE: [moved(TWO)], TWO: [b"1", b"2"], THREE: []}
    assert [client.evalsha("sha", 1, KEY), client.evalsha("sha", 1, KEY)] == [b"1", b"2"]
    assert [port for port, _ in nodes.sent] == [7001, 7002, 7002]


def test_ask_is_followed_once(client: SlotClient, nodes: Nodes) -> None:
    """A call whose keys have moved goes behind ASKING, and the next call to the owner again."""
    nodes.answers = {ONE: [AskError(f"{key_slot(KEY)} {TWO}"), b"2"], TWO: [b"1"], THREE: []}
    assert [client.evalsha("sha", 1, KEY), client.evalsha("sha", 1, KEY)] == [b"1", b"2"]
    assert nodes.sent == [(7001, "EVALSHA"), (7002, "ASKING"), (7002, "EVALSHA"), (7001, "EVALSHA")]


@pytest.mark.parametrize("error", [RedisConnectionError("lost"), ReadOnlyError("READONLY")])
def test_after_a_failure_another_node_is_asked(client: SlotClient, nodes: Nodes, error: Exception) -> None:
    """A call that failed is not repeated; the next one goes to a node that has not failed, which names the owner."""
    nodes.answers = {ONE: [error], TWO: [moved(THREE)], THREE: [b"1"]}
    with pytest.raises(type(error)):
        client.evalsha("sha", 1, KEY)
    assert client.evalsha("sha", 1, KEY) == b"1"
    assert [port for port, _ in nodes.sent] == [7001, 7002, 7003]


def test_all_nodes_are_tried_in_turn(client: SlotClient, nodes: Nodes) -> None:
    """While nodes are dead, those that failed longest ago are asked first."""
    nodes.answers = {node: [RedisConnectionError("dead")] * 2 for node in (ONE, TWO, THREE)}
    for _ in range(6):
        with pytest.raises(RedisConnectionError):
            client.evalsha("sha", 1, KEY)
    assert [port for port, _ in nodes.sent] == [7001, 7002, 7003] * 2


def test_nodes_that_do_not_agree(client: SlotClient, nodes: Nodes) -> None:
    """A call that is passed on in a circle ends as one that may be repeated later."""
    nodes.answers = {ONE: [moved(TWO)] * 9, TWO: [moved(ONE)] * 9, THREE: []}
    with pytest.raises(TryAgainError):
        client.evalsha("sha", 1, KEY)
