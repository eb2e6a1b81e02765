"""Clients of redis-py for what people and maintenance do: one for a server, one for each primary of a cluster.

What is sent often, or must not wait for each reply, goes over links instead; see `link.py`. A command here goes to the
node that has its key, and a question about the server itself to every primary.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Self, TypeVar

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import AskError, ClusterDownError, MovedError, NoScriptError, RedisError

from domainstream.errors import ConfigurationError, ServerError, ServerUnavailableError
from domainstream.redis.connection import REPLY_TIMEOUT, connect
from domainstream.redis.errors import NoReplyError, code_of, place_of, server_error, translated_errors
from domainstream.redis.scripts import Script
from domainstream.redis.sentinel import PrimaryLookup
from domainstream.redis.slot_map import SlotMap, key_slot
from domainstream.redis.topology import Address, RedisTopology, TopologyKind

T = TypeVar("T")

Work = Callable[[Redis], Awaitable[T]]
"""Sends one command, or several that may be sent again, through a client."""

PATIENCE: Final = 5.0
"""Seconds for which a cluster may elect a primary or move a slot before its error is raised."""

PAUSE: Final = 0.05
"""Seconds until a node is asked again."""

SCAN_COUNT: Final = 1000

_ELSEWHERE: Final = frozenset({"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "UNBLOCKED"})
"""Errors of a node that does not have a slot (any more), or not yet: the command was not run."""


class RedisNodes:
    """A server, or the primary that sentinels name; `ClusterNodes` has the primaries of a cluster.

    For the tasks of one event loop. Errors of redis-py become `ServerError`s.
    """

    topology: RedisTopology | None = None
    """Where they are; None for a client of the caller's."""

    kind: TopologyKind = TopologyKind.SINGLE
    """How they work together."""

    def __init__(self, client: Redis) -> None:
        """Send through `client`, which `close` does not close; prefer `open` and `of`."""
        known = client.connection_pool.connection_kwargs
        self.place = place_of(client.connection_pool)
        """How messages name it, without user and password."""
        self.user = str(known.get("username") or "default")
        """The user as whom we are connected."""
        self.database: int = known.get("db") or 0
        """The number of the database."""
        self.client = client
        """redis-py's client of the server; on a cluster, of a node that the URL names."""
        self._owns_client = False

    @property
    def is_cluster(self) -> bool:
        """Whether the keys are spread over several nodes."""
        return self.kind is TopologyKind.CLUSTER

    @classmethod
    def open(
        cls, where: str | RedisTopology, *, reply_timeout: timedelta = REPLY_TIMEOUT, **options: Any
    ) -> "RedisNodes":
        """Return nodes with connections of their own, one to each; `options` are redis-py's.

        `reply_timeout` must be longer than a command may block. Raises `ConfigurationError` for an invalid URL.
        """
        topology = RedisTopology.of(where)
        if topology.is_cluster:
            return ClusterNodes(SlotMap(topology), reply_timeout=reply_timeout, **options)
        nodes = RedisNodes(connect(topology, reply_timeout=reply_timeout, **options))
        nodes.topology, nodes.kind = topology, topology.kind
        nodes._owns_client = True
        return nodes

    @classmethod
    def of(cls, client: "Redis | RedisNodes") -> "RedisNodes":
        """Return nodes as they are, and a client of a single server as nodes; whoever has it closes it.

        Raises `ConfigurationError` for redis-py's client of a cluster.
        """
        if isinstance(client, RedisNodes):
            return client
        given: object = client
        if isinstance(given, RedisCluster):
            problem = "it is redis-py's client of a cluster; use the URL redis+cluster://host:6379,host:6379 instead"
            raise ConfigurationError("The client cannot be used:", [problem])
        return RedisNodes(client)

    async def address_of(self, key: str) -> Address:  # noqa: ARG002 - one node has every key
        """Return the node that has a key, as far as is known. Raises `ServerError` when no node answers."""
        known = self.client.connection_pool.connection_kwargs
        if "lookup" in known:
            lookup: PrimaryLookup = known["lookup"]
            if lookup.address is not None:
                return lookup.address
            with translated_errors(self.client):
                return (await lookup.primary()).address
        if "path" in known:
            return Address(known["path"], 0)
        return Address(known.get("host", "localhost"), known.get("port", 6379))

    async def run(self, key: str, work: Work[T]) -> T:  # noqa: ARG002 - one node has every key
        """Await `work` with a client of the node that has `key`; all its keys must lie in one slot.

        On a cluster it is called again when the node does not have the slot, which it says before it runs anything.
        Raises `ServerError`; after a lost connection it is unknown what was run.
        """
        with translated_errors(self.client):
            return await work(self.client)

    async def call(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int) -> Any:
        """Call a script at the node that has its keys, and return its reply."""

        async def evaluate(client: Any) -> Any:
            try:
                return await client.evalsha(script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await client.eval(script.text, len(keys), *keys, *arguments)

        return await self.run(keys[0], evaluate)

    async def each(self, work: Work[T]) -> dict[Address, T]:
        """Await `work` with a client of each node, all at once, and return what it returned.

        Raises the first node's `ServerError` when one fails.
        """
        with translated_errors(self.client):
            result = await work(self.client)
        return {await self.address_of(""): result}

    async def try_each(self, work: Work[T]) -> dict[Address, T | ServerError]:
        """Await `work` with a client of each node, all at once, and return what it returned or failed with.

        Raises the `ServerError` of a single server.
        """
        return dict(await self.each(work))

    async def keys_like(self, prefix: str, kind: str, *, suffix: str = "") -> list[str]:
        """Return the keys of a type (`stream`, `hash`, ...) that begin with `prefix` and end with `suffix`, sorted.

        It scans every key of the database, 1,000 at a time, without blocking the server. Keys that are not UTF-8 are
        not ours and are left out. On a cluster, keys that move meanwhile may be missed.
        """
        pattern = f"{literally(prefix)}*{literally(suffix)}"

        async def scan(client: Any) -> set[str]:
            keys: set[str] = set()
            async for key in client.scan_iter(match=pattern, count=SCAN_COUNT, _type=kind):
                with suppress(UnicodeDecodeError):
                    keys.add(key.decode())
            return keys

        return sorted(set[str]().union(*(await self.each(scan)).values()))

    async def close(self) -> None:
        """Close the connections that it owns. Closing twice does nothing."""
        if self._owns_client:
            await self.client.aclose()

    async def __aenter__(self) -> Self:
        """Return the nodes."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections that they own."""
        await self.close()


class ClusterNodes(RedisNodes):
    """The primaries of a Redis Cluster."""

    kind = TopologyKind.CLUSTER

    def __init__(self, slots: SlotMap, *, reply_timeout: timedelta = REPLY_TIMEOUT, **options: Any) -> None:
        """Find the nodes in `slots`, which links of the same event loop may share; `options` are redis-py's."""
        self.slots = slots
        """Which node has which slot."""
        self._options = {"reply_timeout": reply_timeout, **options}
        self._clients: dict[Address, Redis] = {}
        self._doubted: Address | None = None
        super().__init__(self._client_of(slots.topology.seeds[0]))
        self.topology = slots.topology
        self.place = slots.topology.place

    async def address_of(self, key: str) -> Address:
        """Return the primary that has a key; see `RedisNodes.address_of`."""
        owner = await self._owner(key_slot(key))
        if owner is None:
            raise ServerUnavailableError(f"no node of the {self.place} has the slot of {key}")
        return owner

    async def run(self, key: str, work: Work[T]) -> T:
        """Await `work` with a client of the node that has `key`; see `RedisNodes.run`."""
        slot = key_slot(key)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            owner = await self._owner(slot)
            error: Exception = ClusterDownError(f"CLUSTERDOWN no node has slot {slot}")
            if owner is not None:
                try:
                    return await work(self._client_of(owner))
                except (RedisError, OSError) as failure:
                    error = failure
                    self._doubted = owner
            is_late = asyncio.get_running_loop().time() > deadline
            if is_late or code_of(error) not in _ELSEWHERE:
                raise server_error(error, str(owner or self.place)) from None
            if isinstance(error, MovedError) and owner is not None:
                self._follow(error, owner)
            else:
                await asyncio.sleep(PAUSE)

    async def each(self, work: Work[T]) -> dict[Address, T]:
        """Await `work` with a client of each primary, all at once; see `RedisNodes.each`."""
        done: dict[Address, T] = {}
        for address, result in (await self.try_each(work)).items():
            if isinstance(result, ServerError):
                raise result
            done[address] = result
        return done

    async def try_each(self, work: Work[T]) -> dict[Address, T | ServerError]:
        """Await `work` with a client of each primary, all at once; see `RedisNodes.try_each`."""
        await self._refresh()
        addresses = self.slots.primaries()
        results = await asyncio.gather(*(self._at(address, work) for address in addresses))
        return dict(zip(addresses, results, strict=True))

    async def close(self) -> None:
        """Close the connections. Closing twice does nothing."""
        for client in self._clients.values():
            await client.aclose()

    async def _at(self, address: Address, work: Work[T]) -> T | ServerError:
        try:
            return await work(self._client_of(address))
        except (RedisError, OSError) as error:
            return server_error(error, str(address))

    async def _owner(self, slot: int) -> Address | None:
        if self._doubted is not None or self.slots.owner(slot) is None:
            await self._refresh()
        return self.slots.owner(slot)

    async def _refresh(self) -> None:
        try:
            await self.slots.refresh(not_from=self._doubted)
        except NoReplyError as error:
            raise server_error(error, self.place) from None
        self._doubted = None

    def _follow(self, error: AskError, answered: Address) -> None:
        """Note the owner of a slot that a node has named."""
        self.slots.moved(
            error.slot_id, Address(error.host if error.host not in ("", "?") else answered.host, error.port)
        )
        self._doubted = None

    def _client_of(self, address: Address) -> Redis:
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = connect(self.slots.topology.url_of(address), **self._options)
        return client


def literally(text: str) -> str:
    """Return a glob pattern that matches `text` alone: what has a meaning in a pattern is escaped."""
    return re.sub(r"[*?\[\]\\]", r"\\\g<0>", text)
