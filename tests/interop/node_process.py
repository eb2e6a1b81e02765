"""Runs Node.js programs for tests, and exchanges lines of JSON with them."""

import asyncio
import json
import shutil
import signal
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

PROGRAMS: Final = Path(__file__).parent / "node"
NOTIFICATIONS: Final = Path(__file__).parents[2] / "examples" / "monorepo" / "services" / "notifications"
PATIENCE: Final = 60.0
"""Seconds that a test waits for a line; the first one takes a second on a busy machine."""


def missing() -> str | None:
    """Return what is missing to run Node.js programs, and how to install it; None when nothing is."""
    if shutil.which("node") is None:
        return "Node.js is not installed; run: apt-get install nodejs npm"
    for folder in (PROGRAMS, NOTIFICATIONS):
        if not (folder / "node_modules").is_dir():
            return f"the npm packages are not installed; run: npm ci --prefix {folder}"
    return None


def versions() -> str:
    """Return the versions of Node.js and of the npm package that the tests run with."""
    node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    package = json.loads((PROGRAMS / "node_modules" / "bullmq" / "package.json").read_text(encoding="utf-8"))
    return f"Node.js {node} with bullmq {package['version']}"


class NodeProgram:
    """A running program that reads and writes lines of JSON."""

    def __init__(self, name: str, process: Process) -> None:
        self._name = name
        self._process = process

    def kill(self) -> None:
        """Kill it, if it `may_die`."""
        self._process.kill()

    async def line(self) -> Any:
        """Return the next line it writes; fail if it ends instead."""
        async with asyncio.timeout(PATIENCE):
            text = await _pipe(self._process.stdout).readline()
        assert text, f"{self._name} ended: {(await _pipe(self._process.stderr).read()).decode()}"
        return json.loads(text)

    async def lines(self, count: int) -> list[Any]:
        """Return the next `count` lines it writes."""
        return [await self.line() for _ in range(count)]

    async def ask(self, question: str, *details: Any) -> Any:
        """Send a question and return the reply, an object with `answer` or with `error`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([question, *details]).encode() + b"\n")
        return await self.line()

    async def answer(self, question: str, *details: Any) -> Any:
        """Send a question and return the `answer` of the reply."""
        return (await self.ask(question, *details))["answer"]


@asynccontextmanager
async def node(name: str, *, may_die: bool = False, **settings: Any) -> AsyncIterator[NodeProgram]:
    """Run a program of `tests/interop/node` during the block, once it is ready; it must exit with code 0, or die."""
    process = await asyncio.create_subprocess_exec(
        "node", str(PROGRAMS / name), json.dumps(settings), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        program = NodeProgram(name, process)
        assert await program.line() == "ready"
        yield program
        async with asyncio.timeout(PATIENCE):
            # Without input, `communicate` would leave standard input open, whose end the program waits for.
            _, errors = await process.communicate(b"")
        if not (may_die and process.returncode == -signal.SIGKILL):
            assert process.returncode == 0
            assert errors.decode() == ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _pipe(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    assert stream is not None
    return stream
