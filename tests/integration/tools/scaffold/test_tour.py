"""The tour of docs/how-to/add-a-publisher.md, executed from an empty folder to a handled event."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE = Path(__file__).parents[4] / "docs/how-to/add-a-publisher.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands() -> list[str]:
    """Return the commands of the page, in order."""
    return [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]


def environment() -> dict[str, str]:
    """Return the environment of a new user: our programs on the path, no server, nothing of this test run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "REDIS", "PYTHON"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}", "PYTHONUNBUFFERED": "1"}


@contextmanager
def typed(lines: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run lines in one shell, which the last command replaces; kill it at the end."""
    script = "\n".join(["set -e", *lines[:-1], f"exec {lines[-1]}"])
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        try:
            yield shell
        finally:
            if shell.poll() is None:
                shell.kill()


def test_tour_leads_from_an_empty_folder_to_a_handled_event(tmp_path: Path) -> None:
    """Every command of the page succeeds, the last one shows the handled event, and all take under two minutes."""
    begun = time.monotonic()
    (tmp_path / "clinic").mkdir()
    (tmp_path / "clinic/watch.py").write_text(blocks("python")[0], encoding="utf-8")
    *expected, handled = blocks("text")[0].splitlines()
    output = ""
    with typed(commands(), tmp_path) as shell:
        assert shell.stdout
        for line in shell.stdout:
            output += line
            if line.startswith(handled.partition("[")[0]):
                shell.send_signal(signal.SIGINT)
    assert shell.returncode == 0, output
    assert set(expected) <= set(output.splitlines())
    assert handled.partition("[")[0] in output
    assert time.monotonic() - begun < 120


def test_page_names_every_command() -> None:
    """The tour uses each of the four commands."""
    kinds = {command.split()[2] for command in commands() if command.startswith("domainstream new ")}
    assert kinds == {"project", "service", "event", "subscriber"}
