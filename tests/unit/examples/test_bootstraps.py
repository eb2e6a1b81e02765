"""How the example's processes start and end, as a user runs them."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from domainstream.testing import EmbeddedServer
from domainstream.tools.demo.prerequisites import source_folders

RELAY = """
import asyncio, os, signal
from coding.bootstrap import outbox
from domainstream.outbox import OutboxRelay

async def run():
    relay = OutboxRelay.from_url(
        os.environ["REDIS_URL"], database_url=os.environ["DATABASE_URL"], table=outbox.table
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, relay.stop)
    async with relay:
        await relay.run()

asyncio.run(run())
"""
"""The relay of coding."""

MODULES = [f"{package}.bootstrap" for package in ("contracts", "coding", "screenflow", "valuation", "billing")]
PATIENCE = 120


@contextmanager
def process(*arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Run one of the example's processes, and make sure that it is gone at the end."""
    environment = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "DATABASE_URL")}
    path = os.pathsep.join(map(str, source_folders()))
    program = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONPATH": path, **variables},
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A server for the processes of one test alone, for their keys have no prefix."""
    with EmbeddedServer() as server:
        yield server


@pytest.mark.parametrize("module", MODULES)
def test_missing_url_is_one_line(module: str, tmp_path: Path) -> None:
    """Without REDIS_URL the process ends with exit code 1 and what to type."""
    with process("-m", module, DATABASE_URL=f"sqlite+aiosqlite:///{tmp_path}/coding.db") as program:
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1
    assert errors == "no server is configured; run: export REDIS_URL=redis://localhost:6379\n"


def test_missing_database_is_one_line() -> None:
    """Without DATABASE_URL coding ends with exit code 1 and what to type."""
    with process("-m", "coding.bootstrap", REDIS_URL="redis://localhost:6379") as program:
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1
    assert errors == "no database is configured; run: export DATABASE_URL=sqlite+aiosqlite:///coding.db\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_processes_in_order(server: EmbeddedServer, number: int, tmp_path: Path) -> None:
    """A stay that coding hands in reaches screenflow; SIGTERM or Ctrl-C then ends each with exit code 0."""
    urls = {"REDIS_URL": server.url, "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/coding.db"}
    with (
        process("-m", "contracts.bootstrap", **urls) as subscriber,
        process("-m", "screenflow.bootstrap", **urls) as screenflow,
        process("-m", "coding.bootstrap", "1", **urls) as coding,
    ):
        wait_for_table(tmp_path / "coding.db", coding)
        with process("-c", RELAY, **urls) as relay:
            assert screenflow.stderr is not None
            assert "screening stay-000001" in screenflow.stderr.readline()
            assert coding.stderr is not None
            assert "optimising stay-000001" in coding.stderr.readline()
            relay.terminate()
            for program in (coding, screenflow, subscriber):
                program.send_signal(number)
            programs = (relay, coding, screenflow, subscriber)
            errors = [program.communicate(timeout=PATIENCE)[1] for program in programs]
        assert [program.returncode for program in programs] == [0, 0, 0, 0]
        assert not any("Traceback" in text for text in errors)


def wait_for_table(file: Path, coding: "subprocess.Popen[str]") -> None:
    """Wait until coding has made its tables; fail when it ends before."""
    while coding.poll() is None:
        if file.exists():
            with closing(sqlite3.connect(file)) as connection:
                names = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if ("coding_outbox_relay",) in names:
                return
        time.sleep(0.05)
    pytest.fail("coding ended before it had made its tables")
