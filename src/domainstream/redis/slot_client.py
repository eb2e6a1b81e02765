"""Calls scripts at the node of a Redis Cluster that has one slot, for a thread."""

import time
from typing import Any, Final

from redis import Redis
from redis.exceptions import AskError, MovedError, RedisError, TryAgainError

from domainstream.redis.connection import connect_blocking
from domainstream.redis.errors import ErrorKind, kind_of
from domainstream.redis.slot_map import SlotMap, key_slot
from domainstream.redis.topology import Address, RedisTopology

HOPS: Final = 6
"""How often a call is passed on before the nodes are left to agree with each other."""


class SlotClient:
    """Calls scripts whose keys all lie in one slot; connects to a node when it is needed.

    For one thread, which follows a slot that moves without the event loop: any node that answers names the owner. A
    call that may have been run is not repeated.
    """

    def __init__(self, slots: SlotMap, key: str, *, client_name: str) -> None:
        """Call the node that has `key`; the event loop, which keeps `slots`, may be blocked meanwhile."""
        self._slots = slots
        self._slot = key_slot(key)
        self._client_name = client_name
        self._at: Address | None = None
        self._failed: dict[Address, float] = {}
        self._clients: dict[Address, Redis] = {}

    def evalsha(self, sha: str, key_count: int, *keys_and_arguments: Any) -> Any:
        """Call a script by its hash; raises what redis-py raises, `NoScriptError` too."""
        return self._execute("EVALSHA", sha, key_count, *keys_and_arguments)

    def eval(self, text: str, key_count: int, *keys_and_arguments: Any) -> Any:
        """Call a script by its text; raises what redis-py raises."""
        return self._execute("EVAL", text, key_count, *keys_and_arguments)

    def close(self) -> None:
        """Drop the connections, also under a call of the thread. Closing twice does nothing."""
        for client in list(self._clients.values()):
            client.close()

    def _execute(self, *command: Any) -> Any:
        address, asking = self._at or self._candidate(), False
        for _ in range(HOPS):
            try:
                client = self._client_of(address)
                if asking:  # the pool has one connection, and no other thread
                    client.execute_command("ASKING")  # type: ignore[no-untyped-call]
                return client.execute_command(*command)  # type: ignore[no-untyped-call]
            except AskError as error:  # MovedError is one too
                asking = not isinstance(error, MovedError)
                address = Address(error.host if error.host not in ("", "?") else address.host, error.port)
                if not asking:
                    self._at = address
            except (RedisError, OSError) as error:
                if kind_of(error) is ErrorKind.TRANSIENT and not isinstance(error, TryAgainError):
                    self._leave(address)
                raise
        raise TryAgainError(f"TRYAGAIN the nodes do not agree on who has slot {self._slot}")

    def _candidate(self) -> Address:
        """Return whom to ask: the owner as far as it is known, or else the node that failed longest ago."""
        owner = self._slots.owner(self._slot)
        nodes = [*([owner] if owner else []), *self._slots.nodes]
        return min(nodes, key=lambda node: self._failed.get(node, 0.0))

    def _leave(self, address: Address) -> None:
        self._at = None
        self._failed[address] = time.monotonic()
        if client := self._clients.pop(address, None):
            client.close()

    def _client_of(self, address: Address) -> Redis:
        client = self._clients.get(address)
        if client is None:
            url = self._slots.topology.url_of(address)
            client = self._clients[address] = connect_blocking(RedisTopology.of(url), client_name=self._client_name)
        return client
