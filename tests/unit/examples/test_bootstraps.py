"""How the example's processes start and end, as a user runs them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from domainstream.testing import EmbeddedServer
from domainstream.tools.demo.prerequisites import source_folders

MODULES = [f"{package}.bootstrap" for package in ("contracts", "coding", "screenflow", "valuation")]
PATIENCE = 60


@contextmanager
def process(module: str, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Run one of the example's processes, and make sure that it is gone at the end."""
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    path = os.pathsep.join(map(str, source_folders()))
    program = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
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
def test_missing_url_is_one_line(module: str) -> None:
    """Without REDIS_URL the process ends with exit code 1 and what to type."""
    with process(module) as program:
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1
    assert errors == "no server is configured; run: export REDIS_URL=redis://localhost:6379\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_processes_in_order(server: EmbeddedServer, number: int) -> None:
    """A stay that coding hands in reaches screenflow; SIGTERM or Ctrl-C then ends each with exit code 0."""
    with (
        process("contracts.bootstrap", REDIS_URL=server.url) as subscriber,
        process("screenflow.bootstrap", REDIS_URL=server.url) as screenflow,
        process("coding.bootstrap", "1", REDIS_URL=server.url) as coding,
    ):
        assert screenflow.stderr is not None
        assert "screening stay-000001" in screenflow.stderr.readline()
        assert coding.stderr is not None
        assert "optimising stay-000001" in coding.stderr.readline()
        for program in (coding, screenflow, subscriber):
            program.send_signal(number)
        errors = [program.communicate(timeout=PATIENCE)[1] for program in (coding, screenflow, subscriber)]
        assert [program.returncode for program in (coding, screenflow, subscriber)] == [0, 0, 0]
        assert not any("Traceback" in text for text in errors)
