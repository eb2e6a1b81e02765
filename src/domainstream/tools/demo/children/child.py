"""Runs a child: it reads its settings, works until standard input closes, and reports meanwhile."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from domainstream.lifecycle import cancel_and_wait
from domainstream.tools.demo.children.reporter import Reporter
from domainstream.tools.demo.settings import ChildSettings
from domainstream.tools.signals import RECANCEL_INTERVAL

_FLUSH_EVERY = 0.05

Work = Callable[[ChildSettings, Reporter, asyncio.Event], Coroutine[Any, Any, None]]
"""Works until cancelled. The event is set when stays may be handed in."""


def run_child(work: Work) -> None:
    """Run `work` until standard input closes, which also happens when the parent dies."""
    reporter = Reporter(os.dup(sys.stdout.fileno()))
    # Anything else that prints must not be mistaken for a report.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        asyncio.run(_live(work, reporter))
    except BrokenPipeError:
        # The parent has ended, so an error would reach no one.
        os._exit(1)


async def _live(work: Work, reporter: Reporter) -> None:
    stdin = await _open_stdin()
    settings = msgspec.json.decode(await stdin.readline(), type=ChildSettings)
    go = asyncio.Event()
    works = (work(settings, reporter, go), _listen(stdin, go), _report(reporter))
    tasks = [asyncio.create_task(each) for each in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await cancel_and_wait(*tasks, again=RECANCEL_INTERVAL)
    reporter.flush()
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _open_stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _listen(stdin: asyncio.StreamReader, go: asyncio.Event) -> None:
    while await stdin.readline():
        go.set()


async def _report(reporter: Reporter) -> None:
    while True:
        reporter.flush()
        await asyncio.sleep(_FLUSH_EVERY)
