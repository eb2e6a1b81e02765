"""Runs `domainstream demo` as users do, and checks what it leaves behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

COMMAND = (str(Path(sys.executable).with_name("domainstream")),)
IMPATIENT = (
    *(sys.executable, "-c"),
    (
        "from domainstream.cli import main; from domainstream.tools.demo import processes, run; "
        "run.STALL_TIMEOUT = processes.STOP_TIMEOUT = 2.0; main()"
    ),
)
"""The same command with timeouts of two seconds for stalled runs and for children that do not end."""

PROCESSES = 7
"""The subscriber, four services, the relay of one of them, and the embedded server."""

SENTINEL_SERVERS = 6
"""A primary, two replicas and three sentinels."""

PATIENCE = 60.0


class DemoProcess:
    """A demo in a folder of its own, in which all its processes work: that is how they are found."""

    def __init__(self, folder: Path, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        self.folder = folder
        environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**environment, "TMPDIR": str(folder), **variables},
            start_new_session=True,
        )

    def finish(self) -> tuple[int, str, str]:
        """Wait for the end and return exit code, output and errors."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output, errors

    def press_ctrl_c(self, number: int = signal.SIGINT) -> None:
        """Send what a terminal sends: the signal goes to the whole foreground group."""
        os.killpg(self.process.pid, number)

    def others(self) -> dict[int, str]:
        """Return the command lines of all its processes but the first, by id."""
        found = {pid: _command_line(pid) for pid in _pids() if _working_folder(pid).startswith(str(self.folder))}
        return {pid: line for pid, line in found.items() if line and pid != self.process.pid}

    def wait_until_busy(self) -> dict[int, str]:
        """Wait until all its processes are there and have had time to work; return them."""
        wait_until(lambda: len(self.others()) == PROCESSES)
        time.sleep(1.5)
        return self.others()

    def assert_no_process_is_left(self) -> None:
        """All its processes end within seconds."""
        wait_until(lambda: not self.others())

    def assert_nothing_is_left(self) -> None:
        """No process and no file is left."""
        assert self.others() == {}
        assert list(self.folder.iterdir()) == []


@contextmanager
def demo(folder: Path, *arguments: str, command: Sequence[str] = COMMAND, **variables: str) -> Iterator[DemoProcess]:
    """Run a demo, and make sure that it is gone at the end, whatever the test found."""
    running = DemoProcess(folder, [*command, "demo", *arguments], variables)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _working_folder(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""  # it has ended meanwhile


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""  # it has ended meanwhile
