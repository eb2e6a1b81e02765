"""Which node of a Redis Cluster has a key, and how that is found out again when it changes.

Each key belongs to one of 16,384 slots, and each slot to one primary. A node that does not have a slot names the one
that has it; a node that is dead says nothing, so that another one has to be asked.
"""

import asyncio
from binascii import crc_hqx
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from redis.exceptions import ClusterDownError

from domainstream.redis.connection import link_pool
from domainstream.redis.errors import NoReplyError
from domainstream.redis.link import RedisLink, Reply
from domainstream.redis.topology import Address, RedisTopology

SLOTS: Final = 16_384

ANSWER_TIME: Final = 1.0
"""Seconds that a node may take to say who has the slots, connecting included."""


@lru_cache(maxsize=8192)
def key_slot(key: str | bytes) -> int:
    """Return the slot of a key: of its hash tag, if it has one."""
    text = key.encode() if isinstance(key, str) else key
    return crc_hqx(_hash_tag(text) or text, 0) % SLOTS


def has_hash_tag(key: str) -> bool:
    """Return whether a part of the key alone decides on its slot: what the first braces hold, if it is anything."""
    return bool(_hash_tag(key.encode()))


class SlotMap:
    """The owner of each slot of one cluster, as far as it is known. For the tasks of one event loop."""

    def __init__(self, topology: RedisTopology, *, client_name: str | None = None) -> None:
        """Know nothing yet; the nodes' CLIENT LIST shows whoever asks them as `client_name`."""
        self.topology = topology
        """The cluster."""
        self.version = 0
        """Grows whenever a slot's owner changes; 0 while no node has been asked."""
        self.is_sound = False
        """Whether a node took the cluster for sound when the nodes were asked last: then its primaries take writes."""
        self._client_name = client_name
        self._owners: list[Address | None] = [None] * SLOTS
        self._known = dict.fromkeys(topology.seeds)
        self._silent: set[Address] = set()
        self._refreshing = asyncio.Lock()
        self._refreshes = 0
        self._moved: dict[int, Address] = {}

    def owner(self, slot: int) -> Address | None:
        """Return the primary that has a slot; None if it is not known, or if no node has it."""
        return self._owners[slot]

    def primaries(self) -> list[Address]:
        """Return every node that has a slot."""
        return list(dict.fromkeys(owner for owner in self._owners if owner is not None))

    @property
    def nodes(self) -> list[Address]:
        """Every node that is known, replicas and those that do not answer too. Any thread may ask."""
        return list(self._known)

    def moved(self, slot: int, to: Address) -> None:
        """Note the owner that another node named."""
        self._moved[slot] = to
        self._known.setdefault(to)
        if self._owners[slot] != to:
            self._owners[slot] = to
            self.version += 1

    async def refresh(self, *, not_from: Address | None = None) -> None:
        """Ask the nodes, one after the other, until one says who has the slots; `not_from` is asked last.

        Calls that wait for each other share an answer. Raises `NoReplyError` when no node answers.
        """
        due = self._refreshes + 1
        async with self._refreshing:
            if self._refreshes >= due:
                return
            self._refreshes = due
            self._moved.clear()
            self._take(await self._answer(not_from))

    async def _answer(self, not_from: Address | None) -> "Answer":
        """Return the first answer of a node that takes the cluster for sound, or else the first one at all.

        A node that is cut off from the others names the owners of before.
        """
        doubtful: Answer | None = None
        problem: Exception = ClusterDownError("CLUSTERDOWN no node of the cluster has any slot")
        for address in sorted(self._known, key=lambda known: (known == not_from, known in self._silent)):
            self._silent.add(address)  # also when the caller's time ends before the answer comes
            info, slots = await self._ask(address)
            error = next((reply for reply in (info, slots) if isinstance(reply, Exception)), None)
            if error is not None:
                problem = error
                continue
            self._silent.discard(address)
            if slots:
                answer = Answer.of(slots, address, is_sound=b"cluster_state:ok" in info)
                if answer.is_sound:
                    return answer
                doubtful = doubtful or answer
        if doubtful is None:
            raise problem if isinstance(problem, NoReplyError) else NoReplyError(problem, sent=False)
        return doubtful

    async def _ask(self, address: Address) -> list[Reply]:
        url = self.topology.url_of(address)
        timeout = timedelta(seconds=ANSWER_TIME)
        link = RedisLink(link_pool(url, client_name=self._client_name, connect_timeout=timeout))
        try:
            return await link.exchange(("CLUSTER", "INFO"), ("CLUSTER", "SLOTS"), seconds=ANSWER_TIME)
        finally:
            await link.drop()

    def _take(self, answer: "Answer") -> None:
        """Take an answer over; what a node said about a slot after the question was asked is newer."""
        self.is_sound = answer.is_sound
        owners: list[Address | None] = [None] * SLOTS
        for first, last, owner in answer.ranges:
            owners[first : last + 1] = [owner] * (last + 1 - first)
        for slot, owner in self._moved.items():
            owners[slot] = owner
        self._known = {**dict.fromkeys(answer.nodes), **dict.fromkeys(self.topology.seeds)}
        self._silent &= self._known.keys()
        if owners != self._owners:
            self._owners = owners
            self.version += 1


class Answer(NamedTuple):
    """What a node says about the slots."""

    ranges: list[tuple[int, int, Address]]
    """The first and the last slot of a range, and its primary."""

    nodes: list[Address]
    """Primaries and their replicas."""

    is_sound: bool
    """Whether the node takes the cluster for sound."""

    @classmethod
    def of(cls, slots: Any, asked: Address, *, is_sound: bool) -> "Answer":
        """Read the reply to CLUSTER SLOTS of the node `asked`."""
        nodes: dict[Address, Address] = {}
        ranges = []
        for first, last, *serving in slots:
            addresses = [_address(node, asked) for node in serving]
            ranges.append((first, last, nodes.setdefault(addresses[0], addresses[0])))
            nodes.update(zip(addresses, addresses, strict=True))
        return cls(ranges, list(nodes), is_sound)


def _hash_tag(key: bytes) -> bytes:
    start = key.find(b"{") + 1
    end = key.find(b"}", start)
    return key[start:end] if start and end > start else b""


def _address(node: Any, asked: Address) -> Address:
    """Return where a node listens; one that does not know its own name is reached as the node that was asked."""
    host, port = node[:2]
    name = (host or b"").decode()
    return Address(name if name not in ("", "?") else asked.host, port)
