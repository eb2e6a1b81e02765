"""The connections of redis-py that lead to the primary which sentinels name, for an event loop and for threads."""

from typing import Any, Final

from redis import Connection as BlockingConnection
from redis import SSLConnection as BlockingSSLConnection
from redis.asyncio import Connection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from domainstream.redis.sentinel import PrimaryLookup
from domainstream.redis.topology import Address

_STALE: Final = -1
"""A generation that no lookup has."""


class PrimaryConnection(Connection):
    """A connection to the primary; one that has become stale connects anew when a client of redis-py uses it."""

    def __init__(self, *, lookup: PrimaryLookup, **options: Any) -> None:
        """Connect to where `lookup` says; `options` are redis-py's."""
        super().__init__(**options)
        self._lookup = lookup
        self._generation = _STALE

    @property
    def is_stale(self) -> bool:
        """Whether the primary has changed since the connection was made, or the server is not the primary any more."""
        return self._generation != self._lookup.generation

    def abort(self) -> None:
        """Let whoever waits for a reply know at once that it will not come."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def connect(self) -> None:
        """Connect, unless there is a connection that is not stale."""
        if self.is_connected and self.is_stale:
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT002 - redis-py's signature
        """Greet the server, and ask for its role."""
        await super().on_connect_check_health(check_health=check_health)
        await self.send_command("ROLE", check_health=False)
        _require_primary(await self.read_response(), self)
        self._lookup.opened(self)

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Read a reply; READONLY is passed on as it is."""
        try:
            return await super().read_response(*arguments, **options)
        except ReadOnlyError:
            self._generation = _STALE
            raise

    async def disconnect(self, *arguments: Any, **options: Any) -> None:
        """Disconnect."""
        self._lookup.closed(self)
        await super().disconnect(*arguments, **options)

    async def _connect(self) -> None:
        (self.host, self.port), self._generation = await self._lookup.primary()
        await super()._connect()  # type: ignore[no-untyped-call]


class PrimaryTLSConnection(PrimaryConnection, SSLConnection):
    """The same with TLS."""


class BlockingPrimaryConnection(BlockingConnection):
    """A connection to the primary, for a thread; one that has become stale connects anew when it is used."""

    def __init__(self, *, lookup: PrimaryLookup, **options: Any) -> None:
        """Connect to where `lookup` says; `options` are redis-py's."""
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._lookup = lookup
        self._generation = _STALE

    @property
    def is_stale(self) -> bool:
        """Whether the primary has changed since the connection was made, or the server is not the primary any more."""
        return self._generation != self._lookup.generation

    def connect(self) -> None:
        """Connect, unless there is a connection that is not stale."""
        if self.is_connected and self.is_stale:
            self.disconnect()  # type: ignore[no-untyped-call]
        super().connect()  # type: ignore[no-untyped-call]

    def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT002 - redis-py's signature
        """Greet the server, and ask for its role."""
        super().on_connect_check_health(check_health=check_health)
        self.send_command("ROLE", check_health=False)  # type: ignore[no-untyped-call]
        _require_primary(self.read_response(), self)

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Read a reply; READONLY is passed on as it is."""
        try:
            return super().read_response(*arguments, **options)
        except ReadOnlyError:
            self._generation = _STALE
            raise

    def _connect(self) -> Any:
        (self.host, self.port), self._generation = self._lookup.primary_blocking()
        return super()._connect()  # type: ignore[no-untyped-call]


class BlockingPrimaryTLSConnection(BlockingPrimaryConnection, BlockingSSLConnection):
    """The same with TLS."""


def _require_primary(role: Any, connection: PrimaryConnection | BlockingPrimaryConnection) -> None:
    """Raise redis-py's `ConnectionError` unless a connection that is being made leads to the primary."""
    address = Address(connection.host, connection.port)
    if role[0] not in (b"master", "master"):
        raise RedisConnectionError(f"the sentinels name {address} as the primary, but it is a replica")
    if connection.is_stale:
        raise RedisConnectionError(f"the sentinels have just replaced {address} as the primary")
