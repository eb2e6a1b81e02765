"""A link to a Redis Cluster: each call goes to the node that has its keys, and follows them when they move.

A node that does not have a slot, or no longer, says so before it runs anything:

=================  ===========================================================================================
reply              what follows
=================  ===========================================================================================
MOVED              the map notes the owner, and the call is repeated there at once
ASK                the call is repeated at the node that the slot is moving to, behind ASKING; the map stays
no reply           the reply is passed on; another node is asked for the owners before the next call
READONLY,          passed on, and the owners are asked for before the next call
CLUSTERDOWN, ...
TRYAGAIN           passed on: one of the call's keys has moved and another one has not
=================  ===========================================================================================

Whoever gets an error that is passed on decides whether to repeat the call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final

from redis.asyncio import ConnectionPool
from redis.exceptions import AskError, ClusterDownError, MovedError, NoScriptError, TryAgainError

from domainstream.redis.confirming import connected_replicas, known_replicas
from domainstream.redis.connection import link_pool
from domainstream.redis.errors import ErrorKind, NoReplyError, kind_of
from domainstream.redis.link import REPLY_TIMEOUT, Arguments, RedisLink, Reply, Transaction
from domainstream.redis.scripts import Script
from domainstream.redis.sentinel_replicas import SentinelReplicas
from domainstream.redis.slot_map import ANSWER_TIME, SlotMap, key_slot
from domainstream.redis.topology import Address, RedisTopology, TopologyKind
from domainstream.settings import Confirm

HOPS: Final = 6
"""How often a call is passed on before the nodes are left to agree with each other."""

Route = tuple[Address, bool]
"""The node that a call goes to, and whether behind ASKING."""

Send = Callable[["NodeLink", list[int], bool, float], Awaitable[list[Reply]]]
"""Sends the calls with these indexes to a node, behind ASKING or not, within so many seconds; one reply each."""


def open_link(where: str | RedisTopology, *, client_name: str | None = None) -> RedisLink:
    """Return a link to a server, to the primary that sentinels name, or to a cluster.

    The servers' CLIENT LIST shows it as `client_name`. Raises `ConfigurationError` for an invalid URL.
    """
    topology = RedisTopology.of(where)
    if topology.is_cluster:
        return ClusterLink(SlotMap(topology, client_name=client_name), client_name=client_name)
    pool = link_pool(topology, client_name=client_name)
    behind_sentinels = topology.kind is TopologyKind.SENTINEL
    return RedisLink(pool, replicas=SentinelReplicas(topology) if behind_sentinels else connected_replicas)


class NodeLink(RedisLink):
    """A link to one node of a cluster."""

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__(pool, replicas=known_replicas)
        self.turn = asyncio.Lock()
        """Held during a call: the calls behind ASKING and the others are not made at a time."""

    async def exchange_asking(self, *commands: Arguments, seconds: float) -> list[Reply]:
        """Send commands whose keys are moving to this node; like `exchange`."""
        asking = [part for command in commands for part in (("ASKING",), command)]
        replies = await self.exchange(*asking, seconds=seconds)
        # An ASKING that the server rejects is why the command behind it failed.
        return [
            allowed if isinstance(allowed, Exception) else reply
            for allowed, reply in zip(replies[::2], replies[1::2], strict=True)
        ]

    async def eval_each_asking(self, script: Script, calls: Sequence[Arguments], *, seconds: float) -> list[Reply]:
        """Call `script` for keys that are moving to this node; like `eval_each`."""
        deadline = _now() + seconds
        replies = await self.exchange_asking(*[("EVALSHA", script.sha, *call) for call in calls], seconds=seconds)
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:  # the EVALSHA has used the ASKING up
            with_text = [("EVAL", script.text, *calls[index]) for index in missing]
            repeated = await self.exchange_asking(*with_text, seconds=deadline - _now())
            for index, reply in zip(missing, repeated, strict=True):
                replies[index] = reply
        return replies

    async def eval_each_confirmed_asking(
        self, script: Script, calls: Sequence[Arguments], *, confirm: Confirm, seconds: float
    ) -> list[Reply]:
        """Call `script` for keys that are moving to this node; like `eval_each_confirmed`."""

        async def exchange(commands: Sequence[Arguments], left: float) -> list[Reply]:
            return await self.exchange_asking(*commands, seconds=left)

        return await self._confirmation.eval_each(exchange, script, calls, confirm, seconds)


class ClusterLink(RedisLink):
    """Sends each call to the node that has its keys, all nodes at once; connects to a node when it is needed.

    For one task, like `RedisLink`. All keys of a call must lie in one slot. A node that does not answer leaves the
    calls to the others untouched.
    """

    def __init__(
        self, slots: SlotMap, *, client_name: str | None = None, connect_timeout: timedelta = timedelta(seconds=5)
    ) -> None:
        """Find the nodes in `slots`, which links of one event loop may share."""
        self._slots = slots
        self._client_name = client_name
        self._connect_timeout = connect_timeout
        self._nodes: dict[Address, NodeLink] = {}
        self._doubted: Address | None = None
        super().__init__(self._pool_of(slots.topology.seeds[0]))
        self.place = slots.topology.place

    async def eval_each(
        self, script: Script, calls: Iterable[Arguments], *, seconds: float = REPLY_TIMEOUT
    ) -> list[Reply]:
        """Call `script` once for each of `calls` and return one reply each, errors included; only cancellation raises.

        The first key of a call says where it goes. The calls of a node go out in one write.
        """
        made = list(calls)

        async def send(node: NodeLink, indexes: list[int], asking: bool, left: float) -> list[Reply]:
            some = [made[index] for index in indexes]
            if asking:
                return await node.eval_each_asking(script, some, seconds=left)
            return await node.eval_each(script, some, seconds=left)

        return await self._routed([_slot(call[1]) for call in made], send, seconds)

    async def eval_each_confirmed(
        self, script: Script, calls: Sequence[Arguments], *, confirm: Confirm, seconds: float
    ) -> list[Reply]:
        """Call `script` as `eval_each` does; each node waits for its own replicas."""

        async def send(node: NodeLink, indexes: list[int], asking: bool, left: float) -> list[Reply]:
            some = [calls[index] for index in indexes]
            at_node = node.eval_each_confirmed_asking if asking else node.eval_each_confirmed
            return await at_node(script, some, confirm=confirm, seconds=left)

        return await self._routed([_slot(call[1]) for call in calls], send, seconds)

    async def exchange(self, *commands: Arguments, seconds: float) -> list[Reply]:
        """Send commands that all belong to one slot, that of their first argument; see `RedisLink.exchange`."""

        async def send(node: NodeLink, indexes: list[int], asking: bool, left: float) -> list[Reply]:
            some = [commands[index] for index in indexes]
            return await (node.exchange_asking if asking else node.exchange)(*some, seconds=left)

        return await self._routed([_slot(commands[0][1])] * len(commands), send, seconds)

    async def transact_each(self, transactions: Sequence[Transaction], *, seconds: float) -> list[list[Reply]]:
        """Send each transaction to the node that has its keys; see `RedisLink.transact_each`.

        The first key is that of its second command, an EVALSHA.
        """
        every: list[list[Reply]] = [[] for _ in transactions]

        async def send(node: NodeLink, indexes: list[int], _asking: bool, left: float) -> list[Reply]:
            replies = await node.transact_each([transactions[index] for index in indexes], seconds=left)
            for index, some in zip(indexes, replies, strict=True):
                every[index] = some
            # Only what puts the node in doubt: nothing is repeated at another node.
            return [next(filter(_is_transient, every[index]), None) for index in indexes]

        failures = await self._routed([_slot(transaction[1][3]) for transaction in transactions], send, seconds)
        return [
            replies or [failure] * len(transaction)
            for replies, failure, transaction in zip(every, failures, transactions, strict=True)
        ]

    async def connect(self, *, seconds: float) -> int | NoReplyError:  # noqa: ARG002 - as in RedisLink
        """Return 0: nodes are connected to when they are needed, and none of them is all of the cluster."""
        return 0

    def owner(self, key: str) -> Address | None:
        """Return the node that has a key, as far as is known."""
        return self._slots.owner(key_slot(key))

    async def refresh_owners(self) -> bool:
        """Ask the nodes who has which slot; return whether several take writes, and thus one may be missing."""
        failure = await self._refresh(ANSWER_TIME)
        return failure is None and self._slots.is_sound and len(self._slots.primaries()) > 1

    async def drop(self, *, nowait: bool = True) -> None:
        """Drop the connections to all nodes; the next call connects again."""
        nodes, self._nodes = self._nodes, {}
        for node in nodes.values():
            await node.drop(nowait=nowait)

    async def _exchange(
        self, commands: Sequence[Arguments], replies: list[Reply], seconds: float
    ) -> NoReplyError | None:
        replies += await self.exchange(*commands, seconds=seconds)
        lost = next((index for index, reply in enumerate(replies) if isinstance(reply, NoReplyError)), None)
        if lost is None:
            return None
        failure: NoReplyError = replies[lost]
        del replies[lost:]
        return failure

    async def _routed(self, slots: Sequence[int], send: Send, seconds: float) -> list[Reply]:
        """Send each call to the owner of its slot, and again where a node sends it on; return one reply each."""
        deadline = _now() + seconds
        replies: list[Reply] = [None] * len(slots)
        owners = [self._slots.owner(slot) for slot in slots]
        if self._doubted is not None or None in owners:
            owners = await self._owners_now(slots, replies, seconds / 2)
        routes = {index: (owner, False) for index, owner in enumerate(owners) if owner is not None}
        for _ in range(HOPS):
            groups: dict[Route, list[int]] = {}
            for index, route in routes.items():
                groups.setdefault(route, []).append(index)
            sent = [self._sent(send, route, indexes, deadline) for route, indexes in groups.items()]
            parts = [await sent[0]] if len(sent) == 1 else await asyncio.gather(*sent)
            routes = {}
            for ((address, _), indexes), part in zip(groups.items(), parts, strict=True):
                for index, reply in zip(indexes, part, strict=True):
                    replies[index] = reply
                    if isinstance(reply, Exception) and (onward := self._next(reply, address)) is not None:
                        routes[index] = onward
            if not routes:
                return replies
        for index in routes:
            replies[index] = TryAgainError(f"TRYAGAIN the nodes do not agree on who has slot {slots[index]}")
        return replies

    async def _sent(self, send: Send, route: Route, indexes: list[int], deadline: float) -> list[Reply]:
        address, asking = route
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = NodeLink(self._pool_of(address))
        async with node.turn:
            return await send(node, indexes, asking, deadline - _now())

    def _next(self, reply: Exception, answered: Address) -> Route | None:
        """Return where a call goes next, after an error of the node `answered`; None if nowhere."""
        if isinstance(reply, AskError):  # MovedError is one too
            to = Address(reply.host if reply.host not in ("", "?") else answered.host, reply.port)
            if isinstance(reply, MovedError):
                self._slots.moved(reply.slot_id, to)
            return to, not isinstance(reply, MovedError)
        if kind_of(reply) is ErrorKind.TRANSIENT and type(reply) is not TryAgainError:
            self._doubted = answered
        return None

    async def _owners_now(self, slots: Sequence[int], replies: list[Reply], seconds: float) -> list[Address | None]:
        """Ask the nodes who has which slot, and return the owners; a call without one gets its error in `replies`."""
        failure = await self._refresh(seconds)
        owners = [self._slots.owner(slot) for slot in slots]
        for index, slot in enumerate(slots):
            if owners[index] is None:
                nobody = ClusterDownError(f"CLUSTERDOWN no node has slot {slot}")
                replies[index] = failure or NoReplyError(nobody, sent=False)
        return owners

    async def _refresh(self, seconds: float) -> NoReplyError | None:
        """Ask the nodes who has which slot; return why none of them answered."""
        try:
            async with asyncio.timeout(seconds):
                await self._slots.refresh(not_from=self._doubted)
        except NoReplyError as failure:
            return failure
        except TimeoutError as late:
            return NoReplyError(late, sent=False)
        self._doubted = None
        primaries = self._slots.primaries()
        for address in [known for known in self._nodes if known not in primaries]:
            await self._nodes.pop(address).drop()
        return None

    def _pool_of(self, address: Address) -> ConnectionPool:
        url = self._slots.topology.url_of(address)
        return link_pool(url, client_name=self._client_name, connect_timeout=self._connect_timeout)


def _is_transient(reply: Reply) -> bool:
    return isinstance(reply, Exception) and kind_of(reply) is ErrorKind.TRANSIENT


def _slot(key: str | bytes | int) -> int:
    return key_slot(key if isinstance(key, bytes) else str(key))


def _now() -> float:
    return asyncio.get_running_loop().time()
