"""Runs a program until a signal."""

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.errors import DomainStreamError
from domainstream.lifecycle import cancel_and_wait
from domainstream.tools.serving.health import Health, Look, health_endpoint
from domainstream.tools.serving.program import Build, Program, program_of
from domainstream.tools.serving.redis_ping import ping_of
from domainstream.tools.serving.target import TargetError, load

log: Final = logging.getLogger("domainstream.run")


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """What is run, and what watches it."""

    target: str
    """`MODULE:OBJECT`."""

    folder: Path
    """Where modules are imported from, beside what is installed."""

    redis_url: str | None
    """The server that the health endpoint asks for a sign of life; None asks none."""

    health_port: int | None
    """Where the endpoint listens; 0 for a free port, None for no endpoint."""

    health_host: str
    """On which address."""


class Signals:
    """SIGTERM and Ctrl-C: the first lets the program finish what it has in hand, the second cuts it off."""

    def __init__(self, program: Program, running: asyncio.Task[None]) -> None:
        self.numbers: list[int] = []
        self._program = program
        self._second = asyncio.Event()
        self._running = running
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)

    async def wait(self) -> int:
        """Return once the program has ended, with the exit code; raise what it raised."""
        second = asyncio.create_task(self._second.wait())
        await asyncio.wait({self._running, second}, return_when=asyncio.FIRST_COMPLETED)
        cut_off = not self._running.done()
        await cancel_and_wait(second, self._running)
        if not self._running.cancelled():
            self._running.result()
        if cut_off:
            return exits.SIGNAL_BASE + self.numbers[-1]
        return exits.INTERRUPTED if self.numbers[:1] == [signal.SIGINT] else exits.OK

    def _on_signal(self, number: int) -> None:
        self.numbers.append(number)
        if len(self.numbers) > 1:
            self._second.set()
            return
        log.info("run.stopping signal=%s; the next signal cuts it off", signal.Signals(number).name)
        self._program.stop()


async def serve(serving: Serving, build: Build) -> int:
    """Run what `serving` names and return the exit code.

    0 after SIGTERM, or when it ended by itself; 130 after Ctrl-C; 128 and the signal's number when it was cut off.
    """
    found = load(serving.target, serving.folder)
    async with AsyncExitStack() as stack:
        program = await program_of(serving.target, found, build, stack)
        running: asyncio.Task[None] = asyncio.create_task(_run(serving.target, program))
        signals = Signals(program, running)
        try:
            await _open_health(serving, program, signals, stack)
            log.info("run.started program=%s target=%s", type(program).__name__, serving.target)
            code = await signals.wait()
        finally:
            await cancel_and_wait(running)
    log.info("run.ended exit_code=%s", code)
    return code


async def _run(target: str, program: Program) -> None:
    try:
        await program.run()
    except DomainStreamError:
        raise
    except Exception as error:  # a user's program may do anything
        raise TargetError(f"{target} ended with {type(error).__name__}. To see where, add: --debug") from error


async def _open_health(serving: Serving, program: Program, signals: Signals, stack: AsyncExitStack) -> None:
    if serving.health_port is None:
        return
    ping = await stack.enter_async_context(ping_of(serving.redis_url))
    look = _look(program, signals, ping)
    port = await stack.enter_async_context(health_endpoint(serving.health_host, serving.health_port, look))
    log.info("run.health url=http://%s:%s/ready", serving.health_host, port)


def _look(program: Program, signals: Signals, ping: Look) -> Look:
    async def look() -> Health:
        health = getattr(program, "health", None)
        done: Any = health if isinstance(health, Struct) else None
        if signals.numbers:
            return Health(status="failing", reason="stopping", done=done)
        if getattr(done, "failures", 0):
            return Health(status="failing", reason=str(getattr(done, "last_error", "")), done=done)
        pinged = await ping()
        return Health(status=pinged.status, reason=pinged.reason, done=done)

    return look
