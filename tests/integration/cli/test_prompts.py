"""Confirmation on a terminal, and the end of a command by Ctrl-C or a closed pipe, in processes of their own."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from integration.cli.conftest import COMMAND, store
from support.consuming import EVALUATED, Streams, until


@contextmanager
def on_a_terminal(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a command whose three streams are a terminal; give the process and the terminal's other side."""
    ours, theirs = pty.openpty()
    streams: dict[str, Any] = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    # It must be the processes' own terminal, or Ctrl-C would reach nobody.
    setsid = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", setsid, *COMMAND, *words],
        **streams,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, text: str) -> str:
    """Read what appears on a terminal until `text` has."""
    seen = ""
    while text not in seen:
        seen += os.read(terminal, 4096).decode()
    return seen


async def press_until_it_ends(key: bytes, process: subprocess.Popen[bytes], terminal: int) -> None:
    """Press a key, and again after a while: Python misses a Ctrl-C just before it waits for keys."""
    for _ in range(10):
        os.write(terminal, key)
        try:
            await asyncio.to_thread(process.wait, 1)
        except subprocess.TimeoutExpired:
            continue
        return


def first_line_only(*words: str) -> tuple[int, bytes]:
    """Read one line of a command's output and close the pipe; return the exit code, and what it said."""
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        return process.wait(), process.stderr.read()


@pytest.mark.parametrize(("key", "exit_code", "left"), [(b"y\n", 0, 0), (b"\n", 1, 2), (b"\x03", 130, 2)])
async def test_question_is_answered(streams: Streams, redis_url: str, key: bytes, exit_code: int, left: int) -> None:
    """Yes runs the command, Enter declines it with a message, and Ctrl-C ends it at once with 130."""
    await store(streams, b"1", b"2")
    words = ["dead-letters", "purge", EVALUATED, "--all", "--redis-url", redis_url, "--prefix", streams.prefix]
    with on_a_terminal(*words) as (process, terminal):
        read_until(terminal, "[y/N]")
        await press_until_it_ends(key, process, terminal)
        assert process.returncode == exit_code
    assert len(await streams.dead(EVALUATED)) == left


async def test_closed_pipe_is_quiet(streams: Streams, redis_url: str) -> None:
    """A closed pipe ends the command silently with the exit code that shells expect."""
    await store(streams, *(b"%d" % number for number in range(2000)))
    words = ["dead-letters", "ls", EVALUATED, "--json", "--count", "2000", "--redis-url", redis_url]
    assert first_line_only(*words, "--prefix", streams.prefix) == (141, b"")


@pytest.mark.parametrize("variable", ["", "1"])
async def test_colours_are_for_terminals_that_want_them(streams: Streams, redis_url: str, variable: str) -> None:
    """A terminal gets colours unless NO_COLOR is set, and a pipe never does."""
    words = ["doctor", "--redis-url", redis_url, "--prefix", streams.prefix]
    with on_a_terminal(*words, NO_COLOR=variable, TERM="xterm") as (process, terminal):
        seen = read_until(terminal, " at 127.0.0.1")
        assert await until(lambda: process.poll() is not None)
    assert ("\x1b[" in seen) == (variable == "")
