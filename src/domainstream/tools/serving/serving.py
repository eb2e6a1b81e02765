"""Runs a program until a signal stops it."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from domainstream.bootstrap import PREFIX_VARIABLE, URL_VARIABLE
from domainstream.errors import DomainStreamError
from domainstream.lifecycle import cancel_and_wait
from domainstream.telemetry import Signal, emit
from domainstream.tools.serving.health import health_endpoint, open_ping, readiness_probe
from domainstream.tools.serving.program import Build, Program, TargetError, open_program


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """What is run, and how its health is served."""

    target: str
    """`MODULE:OBJECT`."""

    folder: Path
    """The folder that modules are imported from, besides what is installed."""

    redis_url: str | None
    """The server that the health endpoint pings; None pings none."""

    prefix: str
    """The prefix of all stream keys."""

    health_port: int | None
    """The port of the health endpoint; 0 for a free one, None for no endpoint."""

    health_host: str
    """The address of the health endpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingOutcome:
    """How the program ended."""

    first_signal: int | None
    """The signal that stopped it; None if it ended by itself."""

    aborted_by: int | None
    """The second signal, which cancelled it before it had finished; None if there was none."""


class StopSignals:
    """Handles SIGTERM and Ctrl-C: the first lets the program finish its work in progress, the second cancels it."""

    def __init__(self, program: Program, running: asyncio.Task[None]) -> None:
        self.numbers: list[int] = []
        """The signals so far."""
        self._program = program
        self._second = asyncio.Event()
        self._running = running
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)

    async def wait(self) -> ServingOutcome:
        """Return once the program has ended; raise what it raised."""
        second = asyncio.create_task(self._second.wait())
        await asyncio.wait({self._running, second}, return_when=asyncio.FIRST_COMPLETED)
        aborted = not self._running.done()
        await cancel_and_wait(second, self._running)
        if not self._running.cancelled():
            self._running.result()
        return ServingOutcome(
            first_signal=self.numbers[0] if self.numbers else None,
            aborted_by=self.numbers[-1] if aborted else None,
        )

    def _on_signal(self, number: int) -> None:
        self.numbers.append(number)
        if len(self.numbers) > 1:
            self._second.set()
            return
        emit(Signal.RUN_STOPPING, signal=signal.Signals(number).name)
        self._program.stop()


async def serve(serving: Serving, build: Build) -> ServingOutcome:
    """Run the target until it ends or is stopped, and return how it ended."""
    # The user's own code, such as a function that builds the program, reads its server from these variables.
    for variable, value in ((URL_VARIABLE, serving.redis_url), (PREFIX_VARIABLE, serving.prefix)):
        if value:
            os.environ[variable] = value
    async with AsyncExitStack() as stack:
        program = await open_program(serving.target, serving.folder, build, stack)
        running: asyncio.Task[None] = asyncio.create_task(_run(serving.target, program))
        signals = StopSignals(program, running)
        try:
            if serving.health_port is not None:
                ping = await stack.enter_async_context(open_ping(serving.redis_url)) if serving.redis_url else None
                probe = readiness_probe(program, ping, is_stopping=lambda: bool(signals.numbers))
                endpoint = health_endpoint(serving.health_host, serving.health_port, probe)
                port = await stack.enter_async_context(endpoint)
                emit(Signal.RUN_HEALTH, url=f"http://{serving.health_host}:{port}/ready")
            emit(Signal.RUN_STARTED, program=type(program).__name__, target=serving.target)
            return await signals.wait()
        finally:
            await cancel_and_wait(running)


async def _run(target: str, program: Program) -> None:
    try:
        await program.run()
    except DomainStreamError:
        raise
    except Exception as error:  # a user's program may do anything
        raise TargetError(f"{target} ended with {type(error).__name__}. To see where, add: --debug") from error
