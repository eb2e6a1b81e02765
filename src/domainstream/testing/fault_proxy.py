"""A TCP proxy for tests: in front of a server, it loses replies, swallows bytes or answers itself, on demand."""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

_CHUNK: Final = 1 << 16


class FaultProxy:
    """Passes bytes between clients and one server until it is asked to misbehave; a context manager.

    Usage::

        async with FaultProxy(server_url) as proxy:
            client = RedisStreamPublisherClient.from_url(proxy.url)
            proxy.lose_replies_to(b"EVALSHA", 2)
    """

    def __init__(self, server_url: str) -> None:
        """Proxy the server at `server_url`, which must be `redis://host:port`."""
        parts = urlsplit(server_url)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._command = b""
        self._losses = 0
        self._share = 0.0
        self._chance = random.Random(0)  # noqa: S311 - faults, no secrets
        self._answers: list[bytes] = []
        self._swallowing = False
        self._losing: set[asyncio.StreamWriter] = set()
        self.faults = 0
        """How many faults it has caused."""
        self.url = ""
        """Where clients connect, as `redis://127.0.0.1:port`."""

    def lose_replies_to(self, command: bytes, times: int) -> None:
        """Pass on the next `times` requests that contain `command`, but cut off their replies."""
        self._command, self._losses, self._share, self._answers = command, times, 0.0, []

    def lose_share_of_replies_to(self, command: bytes, share: float, *, seed: int = 0) -> None:
        """From now on, lose the replies to a `share` of the requests that contain `command`: 0.05 for 5 %.

        Which replies are lost is random, and the same for each `seed`.
        """
        self._command, self._losses, self._answers = command, 0, []
        self._share, self._chance = share, random.Random(seed)  # noqa: S311 - faults, no secrets

    def answer(self, command: bytes, *answers: bytes) -> None:
        """Answer the next requests that contain `command` with `answers`, such as `-LOADING ...`, for the server."""
        self._command, self._losses, self._share, self._answers = command, 0, 0.0, list(answers)

    def after_losses(self, *answers: bytes) -> None:
        """After the requested losses, answer the same command with `answers`."""
        self._answers = list(answers)

    def swallow(self, *, on: bool = True) -> None:
        """Pass no bytes in either direction, while connections stay open; with `on=False`, pass them again."""
        self._swallowing = on

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pump = asyncio.current_task()
        if pump is not None:
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)
        with suppress(OSError, asyncio.CancelledError):
            async with AsyncExitStack() as connections:
                connections.push_async_callback(_closed, writer)
                connections.callback(self._losing.discard, writer)
                upstream_reader, upstream_writer = await asyncio.open_connection(*self._upstream)
                connections.push_async_callback(_closed, upstream_writer)
                await _first_to_end(
                    self._requests(reader, writer, upstream_writer), self._replies(upstream_reader, writer)
                )

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            if self._swallowing:
                self.faults += 1
                continue
            if self._command and self._command in data:
                lost = self._losses > 0 or self._chance.random() < self._share
                self._losses = max(0, self._losses - 1)
                if lost:
                    self.faults += 1
                    self._losing.add(writer)
                elif self._answers:
                    self.faults += 1
                    writer.write(self._answers.pop(0) + b"\r\n")
                    continue
            upstream.write(data)
            await upstream.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if writer in self._losing:
                return
            if not self._swallowing:
                writer.write(data)
                await writer.drain()


async def _first_to_end(*pumps: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.create_task(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
