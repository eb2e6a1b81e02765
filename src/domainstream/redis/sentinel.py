"""Connections to the primary that sentinels name, and to no other server.

redis-py's own pool for Sentinel is not used: it turns READONLY, a certain rejection, into a lost connection, after
which nobody knows what has run; and a connection of it that lives goes on writing to a primary that has been replaced.
A planned failover leaves such a primary writable for about ten seconds, and all that it takes is lost.

So all connections of a process to the same servers share one `PrimaryLookup`. It has a *generation*, a number that
rises when the sentinels name another primary; connections of an older generation are dropped, so that no two parts of a
process ever work with different primaries. Connections that are made ask the sentinels first, and then the server for
its role.
"""

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any, Final, NamedTuple, Protocol, cast
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from domainstream.redis.sentinel_questions import ASK_TIMEOUT, Answer, ask, ask_blocking, connection_to
from domainstream.redis.topology import Address, RedisTopology
from domainstream.telemetry import Signal, emit
from domainstream.text import described

PING_INTERVAL: Final = 3.0
"""Seconds of silence after which the sentinel that is listened to gets a PING, and as many to answer it."""

_NEWS: Final = ("+switch-master", "+promoted-slave")
"""The sentinel that leads a failover names the new primary about a second before it publishes `+switch-master`."""


class Primary(NamedTuple):
    """The server that is the primary, as far as this process knows."""

    address: Address
    """Where it listens."""

    generation: int
    """The generation of the connections that are made to it now."""


class OpenConnection(Protocol):
    """A connection that is dropped when the primary changes."""

    @property
    def is_stale(self) -> bool:
        """Whether it was made before the primary changed."""
        ...

    def abort(self) -> None:
        """Let whoever waits for a reply know at once that it will not come."""
        ...


class PrimaryLookup:
    """Asks the sentinels for the primary, for all connections of a process.

    For several event loops and threads. While it has open connections in an event loop, a task there listens to a
    sentinel for the news of a failover; without it, connections would notice when the old primary is demoted.
    """

    def __init__(self, topology: RedisTopology) -> None:
        """Prefer `of`, which shares lookups."""
        self.generation = 0
        """Rises when the sentinels name another primary: connections that were made before are stale."""
        self.place = topology.place
        """How messages name the servers."""
        self._topology = topology
        self._sentinels = list(topology.seeds)
        self.address: Address | None = None
        """Where the primary listens, as far as is known; None before anybody has asked."""
        self._epoch = -1
        self._lock = threading.Lock()
        self._listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, _Listener] = WeakKeyDictionary()

    @staticmethod
    def of(topology: RedisTopology) -> "PrimaryLookup":
        """Return the lookup of these servers that all parts of the process share."""
        with _lookups_lock:
            lookup = _lookups.get(topology)
            if lookup is None:
                lookup = _lookups[topology] = PrimaryLookup(topology)
            return lookup

    async def primary(self, first: Address | None = None) -> Primary:
        """Ask the sentinels one after the other, beginning with `first`.

        Raises redis-py's `ConnectionError` when none names a primary.
        """
        answer: Answer | Exception | None = None
        with closing(self._search(first)) as search:
            while True:
                try:
                    sentinel = search.send(answer)
                except StopIteration as end:
                    return cast("Primary", end.value)
                try:
                    answer = await ask(self._topology, sentinel)
                except (RedisError, OSError) as error:
                    answer = error

    def primary_blocking(self) -> Primary:
        """Do what `primary` does, for a thread."""
        answer: Answer | Exception | None = None
        with closing(self._search(None)) as search:
            while True:
                try:
                    sentinel = search.send(answer)
                except StopIteration as end:
                    return cast("Primary", end.value)
                try:
                    answer = ask_blocking(self._topology, sentinel)
                except (RedisError, OSError) as error:
                    answer = error

    def opened(self, connection: OpenConnection) -> None:
        """Note an open connection of the running event loop, which is dropped when the primary changes."""
        loop = asyncio.get_running_loop()
        with self._lock:
            listener = self._listeners.get(loop)
            if listener is None:
                listener = self._listeners[loop] = _Listener(self)
        listener.opened(connection)

    def closed(self, connection: OpenConnection) -> None:
        """Forget a connection."""
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener.closed(connection)

    async def listen(self, is_needed: Callable[[], object]) -> None:
        """Listen to a sentinel, and ask it whenever it says that the primary has changed, while `is_needed`.

        Raises an error of redis-py or of the system when it fails.
        """
        sentinel = self._sentinels[0]
        connection = connection_to(self._topology, sentinel)
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                await connection.connect()
                await connection.send_command("SUBSCRIBE", *_NEWS)
                for _ in _NEWS:
                    await connection.read_response()
            await self.primary(sentinel)  # what happened before we listened
            asked = False
            while is_needed():
                message = await connection.read_response(timeout=PING_INTERVAL)
                if message is None:
                    if asked:
                        raise RedisConnectionError(f"the sentinel at {sentinel} does not answer")
                    await connection.send_command("PING", check_health=False)
                elif message[0] == b"message" and self._topology.primary_name.encode() in message[2].split():
                    await self.primary(sentinel)
                asked = message is None
        except (RedisError, OSError):
            self._ask_last(sentinel)
            raise
        finally:
            await connection.disconnect(nowait=True)

    def _search(self, first: Address | None) -> Generator[Address, Any, Primary]:
        """Yield sentinels to ask until one names the primary; it takes what each answered.

        A sentinel that was cut off names an old primary until it hears from the others. Its answer has an older
        epoch than what is known here, and counts only if no sentinel says otherwise.
        """
        problems: list[str] = []
        older: list[Answer] = []
        for sentinel in sorted(self._sentinels, key=lambda one: one != first):
            try:
                answer = yield sentinel
            except GeneratorExit:  # the caller had no time for its answer
                self._ask_last(sentinel)
                raise
            if isinstance(answer, Answer) and (primary := self._accepted(answer)):
                return primary
            self._ask_last(sentinel)
            if isinstance(answer, Answer):
                older.append(answer)
            else:
                problems.append(f"{sentinel}: {described(answer)}")
        newest = max(older, key=lambda answer: answer.epoch, default=None)
        if newest and (primary := self._accepted(newest, or_older=True)):
            return primary
        raise RedisConnectionError(f"no sentinel names the primary ({'; '.join(problems)})")

    def _ask_last(self, sentinel: Address) -> None:
        with self._lock:
            self._sentinels.remove(sentinel)
            self._sentinels.append(sentinel)

    def _accepted(self, answer: Answer, *, or_older: bool = False) -> Primary | None:
        """Return the primary that a sentinel named; None if it has missed a failover that is known here."""
        with self._lock:
            if answer.epoch < self._epoch and not or_older:
                return None
            before, self.address, self._epoch = self.address, answer.address, answer.epoch
            is_another = before is not None and before != answer.address
            self.generation += is_another
            primary = Primary(answer.address, self.generation)
            listeners = list(self._listeners.items())
        if is_another:
            emit(Signal.SERVER_PRIMARY_CHANGED, primary=self._topology.primary_name, before=before, now=answer.address)
            for loop, listener in listeners:
                with suppress(RuntimeError):  # the loop has ended meanwhile, and its connections with it
                    loop.call_soon_threadsafe(listener.drop_stale)
        return primary


class _Listener:
    """The open connections of one event loop, and the task that listens to a sentinel for them."""

    def __init__(self, lookup: PrimaryLookup) -> None:
        self._lookup = lookup
        self._connections: WeakSet[OpenConnection] = WeakSet()
        self._task: asyncio.Task[None] | None = None

    def opened(self, connection: OpenConnection) -> None:
        self._connections.add(connection)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name="domainstream sentinel listener")

    def closed(self, connection: OpenConnection) -> None:
        self._connections.discard(connection)
        if not self._connections and self._task is not None:
            self._task.cancel()
            self._task = None

    def drop_stale(self) -> None:
        for connection in list(self._connections):
            if connection.is_stale:
                connection.abort()

    async def _listen(self) -> None:
        while self._connections:
            with suppress(RedisError, OSError):  # connections that are made ask for themselves
                await self._lookup.listen(lambda: self._connections)
            await asyncio.sleep(ASK_TIMEOUT)


_lookups: Final[WeakValueDictionary[RedisTopology, PrimaryLookup]] = WeakValueDictionary()
_lookups_lock: Final = threading.Lock()
