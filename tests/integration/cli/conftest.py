"""The streams of a test, and the command line with its server and prefix."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis
from support.consuming import EVALUATED, PATIENCE, BullJobs, Streams
from support.working import Valuation

from domainstream.cli.main import cli

TESTS = Path(__file__).parents[2]
HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "domainstream"]

Type = Callable[..., Awaitable[Result]]


@pytest.fixture
def streams(redis: Redis, stream_prefix: str) -> Streams:
    """The streams of this test."""
    return Streams(redis, stream_prefix)


@pytest.fixture
def typed(redis_url: str, stream_prefix: str) -> Type:
    """A function that runs `domainstream` with these words and the server in the environment."""
    environment = {"REDIS_URL": redis_url, "DOMAINSTREAM_PREFIX": stream_prefix}

    async def type_words(*words: str, **more: str | None) -> Result:
        # Commands have an event loop of their own, so they run in a thread.
        return await asyncio.to_thread(CliRunner().invoke, cli, words, env={**environment, **more})

    return type_words


Start = Callable[..., Awaitable["Running"]]


class Running:
    """A process of `domainstream run`."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.log: list[str] = []
        self.output: list[str] = []

    async def says(self, text: str) -> str:
        """Wait for a line of the log that holds `text`, and return it."""
        return await self._line(self.process.stderr, text, self.log)

    async def prints(self, text: str) -> str:
        """Wait for a line of output that holds `text`, and return it."""
        return await self._line(self.process.stdout, text, self.output)

    async def ends(self, seconds: float = PATIENCE) -> int:
        """Wait for its end, read what is left, and return the exit code."""
        async with asyncio.timeout(seconds):
            output, log = await self.process.communicate()
        self.output += output.decode().splitlines()
        self.log += log.decode().splitlines()
        return self.process.returncode or 0

    async def _line(self, stream: asyncio.StreamReader | None, text: str, seen: list[str]) -> str:
        assert stream
        async with asyncio.timeout(PATIENCE):
            while line := (await stream.readline()).decode():
                seen.append(line.strip())
                if text in line:
                    return line.strip()
        raise AssertionError(f"ended without {text!r}: {seen}")


@pytest.fixture
async def start(redis_url: str, stream_prefix: str) -> AsyncIterator[Start]:
    """A function that starts `domainstream run` with these words; processes that still run at the end are killed."""
    processes: list[Process] = []

    async def run(*words: str, **environment: str) -> Running:
        given = {"REDIS_URL": redis_url, "DOMAINSTREAM_PREFIX": stream_prefix, "PYTHONPATH": str(TESTS), **environment}
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "run", *words, "--app-dir", str(HERE), env={**os.environ, **given}, stdout=PIPE, stderr=PIPE
        )
        processes.append(process)
        return Running(process)

    yield run
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def store(streams: Streams, *contents: bytes | None) -> list[str]:
    """Store dead letters of the evaluated channel as subscribers do, and return their ids; None has no data."""
    ids = []
    for number, content in enumerate(contents):
        fields = {"error": "HostileJsonError", "reason": "not JSON", "channel": str(EVALUATED)}
        fields |= {"group": "domain-events", "entry_id": f"1700000000000-{number}"}
        dead_letter: dict[Any, Any] = {**fields, **({} if content is None else {"data": content})}
        dead_letter_id: Any = await streams.redis.xadd(f"{streams.key(EVALUATED)}:dead", dead_letter)
        ids.append(dead_letter_id.decode())
    return ids


@pytest.fixture
def bull(stream_prefix: str) -> str:
    """What begins every key of BullMQ in this test."""
    return f"{stream_prefix}bull"


@pytest.fixture
def valuation(redis_url: str, redis: Redis, bull: str) -> Valuation:
    """The queue `valuation` of this test."""
    return Valuation(redis_url, bull, BullJobs(redis, bull, "valuation"))


def records(result: Result, exit_code: int = 0) -> list[dict[str, Any]]:
    """Return the objects that a command wrote."""
    assert result.exit_code == exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]
