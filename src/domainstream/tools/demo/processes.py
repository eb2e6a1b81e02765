"""Starts the child processes, reads their reports, and ends them together."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from typing import Self

import msgspec

from domainstream.tools.demo import notifications
from domainstream.tools.demo.prerequisites import source_folders
from domainstream.tools.demo.protocol import ChildSettings, Report, read_report

NAMES = ("subscriber", "coding", "relay", "screenflow", "valuation", "billing")
"""The programs that always run, each in a process of its own."""

_MODULES = {"coding": "outbox_child", "relay": "outbox_child", "ui": "ui_child"}
"""The modules of the programs that are not in `child`."""

STOP_TIMEOUT = 10.0
"""Seconds that the children have to end by themselves; they normally need 0.1."""

_LINE_LIMIT = 16 * 1024 * 1024
_ERROR_LINES = 30


class Child:
    """A child process."""

    def __init__(self, name: str, process: Process, read: Callable[[bytes], Report] = read_report) -> None:
        self.name = name
        """The program of `child` that it runs."""
        self.ready = False
        """Whether it has reported that it can work."""
        self._process = process
        self._read = read
        self._errors: list[str] = []

    @classmethod
    async def start(cls, name: str, settings: ChildSettings) -> Self:
        """Start the process and send it its settings."""
        folders = [*map(str, source_folders()), os.environ.get("PYTHONPATH", "")]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", f"domainstream.tools.demo.{_MODULES.get(name, 'child')}", name),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))},
            limit=_LINE_LIMIT,
            # Ctrl-C reaches every process of the terminal, but only the parent decides when its children end.
            start_new_session=True,
        )
        child = cls(name, process)
        child.send(msgspec.json.encode(settings))
        return child

    @classmethod
    async def start_notifications(cls, settings: ChildSettings) -> Self:
        """Start the Node.js service, whose jobs wait until it is ready."""
        process = await asyncio.create_subprocess_exec(
            *notifications.command(),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=notifications.environment(settings),
            start_new_session=True,
        )
        child = cls(notifications.NAME, process, notifications.read_line)
        child.ready = True
        return child

    def send(self, line: bytes) -> None:
        """Write a line to its standard input."""
        if self._process.stdin is not None:
            self._process.stdin.write(line + b"\n")

    async def listen(self, on_report: Callable[[Report], None]) -> None:
        """Pass on its reports until it ends."""
        await asyncio.gather(self._read_reports(on_report), self._read_errors())
        await self._process.wait()

    def end(self) -> None:
        """Close its standard input, so that it ends by itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """Kill it if it still runs."""
        if self._process.returncode is None:
            self._process.kill()

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self._process.returncode != 0

    def exit_report(self) -> str:
        """Return its exit code, and the end of its standard error."""
        return "\n".join([f"the {self.name} process ended with code {self._process.returncode}", *self._errors])

    async def _read_reports(self, on_report: Callable[[Report], None]) -> None:
        async for line in _lines(self._process.stdout):
            report = self._read(line)
            self.ready |= report.ready
            on_report(report)

    async def _read_errors(self) -> None:
        async for line in _lines(self._process.stderr):
            self._errors = [*self._errors, line.decode(errors="replace").rstrip()][-_ERROR_LINES:]


class Children:
    """All processes of a run."""

    def __init__(self, on_report: Callable[[Report], None]) -> None:
        self.dead: list[str] = []
        """The exit reports of processes that ended early or with an error."""
        self._on_report = on_report
        self._children: dict[str, Child] = {}
        self._listeners: list[asyncio.Task[None]] = []
        self._starting: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self, settings: ChildSettings) -> None:
        """Start all of them."""
        self._starting = asyncio.create_task(self._start(settings))
        # Shielded: an interrupt must not lose a process that has started but is not registered yet.
        await asyncio.shield(self._starting)

    @property
    def ready(self) -> int:
        """How many of them can work."""
        return sum(child.ready for child in self._children.values())

    @property
    def all_are_ready(self) -> bool:
        """Whether all of them can work."""
        return self.ready == len(self._children)

    def hand_in_stays(self) -> None:
        """Ask the coding process to hand in the stays."""
        self._children["coding"].send(b"go")

    async def stop(self) -> None:
        """End all of them, and kill those that do not end in time."""
        self._stopping = True
        if self._starting:
            await asyncio.wait([self._starting])
        for child in self._children.values():
            child.end()
        if self._listeners:
            await asyncio.wait(self._listeners, timeout=STOP_TIMEOUT)
        for child in self._children.values():
            child.kill()
        await asyncio.gather(*self._listeners)

    async def _start(self, settings: ChildSettings) -> None:
        for name in (*NAMES, *(["ui"] if settings.has_dashboard else [])):
            self._add(await Child.start(name, settings))
        if settings.announces:
            self._add(await Child.start_notifications(settings))

    def _add(self, child: Child) -> None:
        self._children[child.name] = child
        self._listeners.append(asyncio.create_task(self._listen(child)))

    async def _listen(self, child: Child) -> None:
        await child.listen(self._on_report)
        if child.failed or not self._stopping:
            self.dead.append(child.exit_report())


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[bytes]:
    while stream is not None and (line := await stream.readline()):
        yield line
