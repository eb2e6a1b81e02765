"""Nodes of a cluster that answer what a test gives them, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self

from domainstream.redis.topology import Address, RedisTopology

OK: Final = b"+OK\r\n"
SLOTS: Final = 16_384

Command = tuple[bytes, ...]


def bulk(text: bytes) -> bytes:
    """Return a bulk string."""
    return b"$%d\r\n%s\r\n" % (len(text), text)


class FakeNode:
    """A node that notes each command and answers it with what was prepared; a context manager.

    Without anything prepared it answers a script with the name of the node.
    """

    def __init__(self, name: str = "node") -> None:
        self.address = Address("127.0.0.1", 0)
        """Where it listens."""
        self.commands: list[Command] = []
        """All that came, but for handshakes and questions about the cluster."""
        self.asked = 0
        """How often it was asked who has the slots."""
        self.deserted = asyncio.Event()
        """Set when its last connection is closed."""
        self.sound = True
        """Whether it takes the cluster for sound."""
        self.refusal = b""
        """The error with which it answers questions about the cluster."""
        self.silent = False
        """Whether it leaves questions about the cluster unanswered."""
        self.owners: list[tuple[int, int, Sequence[Address]]] = []
        """Ranges of slots, with the primary and the replicas, that it names when asked."""
        self._name = name
        self._answers: list[bytes | None] = []
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    def answer(self, *answers: bytes | None) -> None:
        """Answer the next commands with these; None is silence, and ends the connection's replies."""
        self._answers += answers

    def owns(self, *nodes: "FakeNode", first: int = 0, last: int = SLOTS - 1) -> None:
        """Name the first of `nodes` as the owner of a range of slots, and the others as its replicas."""
        self.owners.append((first, last, [node.address for node in nodes]))

    @property
    def scripts(self) -> list[Command]:
        """The scripts that it was asked to run: the name of the command, then keys and arguments."""
        return [(command[0], *command[2:]) for command in self.commands if command[0].startswith(b"EVAL")]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, at the same address as before."""
        self._server = await asyncio.start_server(self._serve, *self.address)
        self.address = Address(*self._server.sockets[0].getsockname()[:2])

    async def stop(self) -> None:
        """Close every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._serving.add(task)
            task.add_done_callback(self._ended)
            self.deserted.clear()
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while line := await reader.readline():
                parts = []
                for _ in range(int(line[1:])):
                    size = int((await reader.readline())[1:])
                    parts.append((await reader.readexactly(size + 2))[:-2])
                answer = self._reply(tuple(parts))
                if answer is None:
                    await asyncio.Event().wait()
                else:
                    writer.write(answer)
        writer.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        if not self._serving:
            self.deserted.set()

    def _reply(self, command: Command) -> bytes | None:
        if command[0] in (b"CLIENT", b"HELLO", b"AUTH"):
            return OK
        if command[:2] == (b"CLUSTER", b"INFO"):
            if self.silent:
                return None
            return self.refusal or bulk(b"cluster_state:ok" if self.sound else b"cluster_state:fail")
        if command[:2] == (b"CLUSTER", b"SLOTS"):
            self.asked += 1
            return self.refusal or self._slots()
        self.commands.append(command)
        if self._answers:
            return self._answers.pop(0)
        return OK if command == (b"ASKING",) else bulk(self._name.encode())

    def _slots(self) -> bytes:
        reply = b"*%d\r\n" % len(self.owners)
        for first, last, nodes in self.owners:
            reply += b"*%d\r\n:%d\r\n:%d\r\n" % (2 + len(nodes), first, last)
            for host, port in nodes:
                reply += b"*3\r\n%s:%d\r\n%s" % (bulk(host.encode()), port, bulk(b"id"))
        return reply


def topology_of(*nodes: FakeNode) -> RedisTopology:
    """Return the topology of a cluster that names these nodes."""
    return RedisTopology.of("redis+cluster://" + ",".join(str(node.address) for node in nodes))


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[FakeNode, FakeNode]]:
    """Run two nodes that both know that the first one has the lower half of the slots, and the second the upper."""
    async with AsyncExitStack() as running:
        low, high = [await running.enter_async_context(FakeNode(name)) for name in ("low", "high")]
        for node in (low, high):
            node.owns(low, last=SLOTS // 2 - 1)
            node.owns(high, first=SLOTS // 2)
        yield low, high
