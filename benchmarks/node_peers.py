"""Node.js peers: a bridge and a worker as one writes them with npm's `bullmq`; each measures itself.

The programs are in `benchmarks/node`, their packages in `tests/interop/node`. The functions are coroutines, so that a
proxy of the same event loop may stand between a program and its server.
"""

import asyncio
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

PROGRAMS: Final = Path(__file__).parent / "node"
PACKAGES: Final = Path(__file__).parents[1] / "tests" / "interop" / "node" / "node_modules"
TIME_LIMIT: Final = 600.0
"""Seconds after which a program is ended."""


class Measured(Struct, frozen=True):
    """What a program measured."""

    count: int
    """How many events or jobs, those of the warm-up not counted."""

    seconds: float
    """How long they took, by the program's own clock."""

    @property
    def rate(self) -> float:
        """Events or jobs per second."""
        return self.count / self.seconds


class NodeProgramError(Exception):
    """A program of Node.js did not come to its end; the text is what it wrote to standard error."""


def missing() -> str | None:
    """Say what is missing to run the peers, and what to type; None when all is there."""
    if shutil.which("node") is None:
        return "Node.js is not installed; run: apt-get install nodejs npm"
    if not PACKAGES.is_dir():
        return f"the npm packages are not installed; run: npm ci --prefix {PACKAGES.parent}"
    return None


async def run_bridge(
    url: str,
    *,
    stream: str,
    queues: Sequence[str],
    count: int,
    batch: int = 500,
    warm_up: int | None = None,
    bull_prefix: str = "bull",
) -> Measured:
    """Let Node carry the `count` entries that stand in a stream to each of the queues, acknowledged in group `bridge`.

    `batch` is how many entries are read and added at once. The first `warm_up` entries, a tenth by default, are not
    measured. Raises `NodeProgramError`.
    """
    options = {"url": url, "stream": stream, "group": "bridge", "prefix": bull_prefix, "job": "price-stay"}
    numbers = {"count": count, "batch": batch, "warmUp": _warm_up(count, warm_up)}
    return await _measure("bridge.mjs", {**options, **numbers}, queues)


async def run_worker(
    url: str,
    *,
    queue: str,
    count: int,
    concurrency: int,
    warm_up: int | None = None,
    bull_prefix: str = "bull",
) -> Measured:
    """Let Node's Worker, with a processor that does nothing, complete the `count` jobs that wait in a queue.

    The first `warm_up` jobs, a tenth by default, are not measured. Raises `NodeProgramError`.
    """
    options = {"url": url, "prefix": bull_prefix}
    numbers = {"count": count, "concurrency": concurrency, "warmUp": _warm_up(count, warm_up)}
    return await _measure("worker.mjs", {**options, **numbers}, [queue])


def _warm_up(count: int, wanted: int | None) -> int:
    return count // 10 if wanted is None else wanted


async def _measure(program: str, options: dict[str, str | int], queues: Sequence[str]) -> Measured:
    single = [f"--{name}={value}" for name, value in options.items()]
    command = ["node", str(PROGRAMS / program), *single, *(f"--queue={queue}" for queue in queues)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(TIME_LIMIT):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise NodeProgramError(f"{program} ended with code {process.returncode}: {errors.decode(errors='replace')}")
    return msgspec.json.decode(output, type=Measured)
