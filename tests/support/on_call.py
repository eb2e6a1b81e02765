"""A hospital's system of three processes on real servers, and an engineer who has only the command line."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from support.consuming import until
from support.postgres import PostgresServer

SYSTEM = Path(__file__).parents[1] / "e2e" / "on_call_system"
PATIENCE = 90.0
"""Seconds that a step may take on a busy machine: every program is started several times."""

COMMAND = str(Path(sys.executable).with_name("domainstream"))


class Hospital:
    """The system: deploys its programs, takes in stays, and counts bills."""

    def __init__(self, redis_url: str, prefix: str, postgres: PostgresServer, folder: Path) -> None:
        self.postgres = postgres
        """The database of billing."""
        self.published: list[str] = []
        """The ids of the events that were published: each must become a bill."""
        self.bull_prefix = f"{prefix}bull"
        """What begins every key of BullMQ."""
        self.environment = {
            **os.environ,
            "REDIS_URL": redis_url,
            "DOMAINSTREAM_PREFIX": prefix,
            "DATABASE_URL": postgres.url,
            "PYTHONPATH": str(SYSTEM),
        }
        """The environment of every program."""
        self._log = folder / "log"
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            self._port: int = listening.getsockname()[1]
        self._engine = create_async_engine(postgres.url)

    async def set_up(self) -> None:
        """Create the table of bills, once the database answers."""
        await until(self._created, patience=PATIENCE)

    async def deploy(self, program: str, **environment: str) -> None:
        """Start a program, in place of the one that runs; `environment` is its configuration."""
        await self.end(program)
        run = [COMMAND, "run", "--app-dir", str(SYSTEM), "--bull-prefix", self.bull_prefix]
        arguments = {
            "coding": [sys.executable, "-m", "hospital.coding", str(self._port)],
            "subscriber": [*run[:2], "subscriber", "hospital.contracts:subscriptions", *run[2:]],
            "worker": [*run[:2], "worker", "hospital.billing:consumer", *run[2:]],
        }[program]
        self._start(program, arguments, environment)
        if program == "coding":
            await until(self._accepts, patience=PATIENCE)

    async def end(self, program: str) -> None:
        """Stop a program as a deployment does, and wait for its end."""
        if (running := self._programs.pop(program, None)) is not None:
            running.send_signal(signal.SIGTERM)
            await asyncio.to_thread(running.wait, 60)

    async def close(self) -> None:
        """End what still runs, and close the connections."""
        for running in self._programs.values():
            running.kill()
            running.wait()
        await self._engine.dispose()

    async def take_in(self, count: int, code: str = "I21") -> list[str]:
        """Code stays through the API, and return the ids of the published events."""
        ids = [await asyncio.to_thread(self._post, f"/stays/stay-{number}/codes/{code}") for number in range(count)]
        self.published += ids
        return ids

    async def billed(self) -> set[str] | None:
        """Return the ids of the events that have a bill; None while the database is away."""
        try:
            async with self._engine.connect() as connection:
                return set((await connection.execute(text("SELECT event_id FROM bills"))).scalars())
        except OperationalError:
            return None

    async def until_billed(self, event_ids: list[str]) -> None:
        """Wait until these events have bills."""

        async def all_billed() -> bool:
            return set(event_ids) <= (await self.billed() or set())

        await until(all_billed, patience=PATIENCE)

    async def until_the_database_is_away(self) -> None:
        """Wait until nothing answers any more."""

        async def away() -> bool:
            return await self.billed() is None

        await until(away, patience=PATIENCE)

    def log(self) -> str:
        """Return what all programs have logged."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def _start(self, program: str, arguments: list[str], environment: dict[str, str]) -> None:
        with self._log.open("ab") as log:
            self._programs[program] = subprocess.Popen(
                arguments, env={**self.environment, **environment}, stdout=log, stderr=log
            )

    def _post(self, path: str) -> str:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("POST", path)
        event_id: str = json.load(connection.getresponse())["event_id"]
        connection.close()
        return event_id

    def _accepts(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self._port)) == 0

    async def _created(self) -> bool:
        table = "CREATE TABLE IF NOT EXISTS bills (event_id text PRIMARY KEY, stay text, currency text)"
        try:
            async with self._engine.begin() as connection:
                await connection.execute(text(table))
        except OperationalError:
            return False
        return True


class OnCall:
    """An engineer who has only the command line, and counts the commands of each step."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital
        self.commands: list[str] = []
        """The commands that were used."""

    async def types(self, *words: str, exit_code: int = 0) -> str:
        """Run a command, and return what it printed."""
        self.commands.append(" ".join(words))
        options = ["--bull-prefix", self._hospital.bull_prefix]
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *words,
            *options,
            env=self._hospital.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == exit_code, (words, output, errors)
        return output.decode()

    async def json(self, *words: str) -> list[dict[str, Any]]:
        """Run a command with --json, and return its records."""
        return [json.loads(line) for line in (await self.types(*words, "--json")).splitlines()]
