"""Runs a program until a signal stops it."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from domainstream.bootstrap import DATABASE_VARIABLE, PREFIX_VARIABLE, URL_VARIABLE
from domainstream.errors import DomainStreamError, MissingExtraError
from domainstream.lifecycle import ABORT_LIMIT, abandon, cancel_and_wait
from domainstream.telemetry import Signal, emit
from domainstream.tools.metrics.exposition import prometheus_module
from domainstream.tools.serving.exit_deadline import EXIT_TIMEOUT, ExitDeadline
from domainstream.tools.serving.health import health_endpoint, metrics_reader, open_ping, readiness_probe
from domainstream.tools.serving.program import Build, Program, TargetError, open_program

ABORT_TIMEOUT: Final = ABORT_LIMIT + 1.0
"""Seconds that a program has to end once it is cancelled: a little longer than ours need at most."""

SIGNAL_BASE: Final = 128
"""Shells report an end by a signal as this plus the signal's number."""


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

    database_url: str | None
    """The database of the outbox, for the user's own code; None unless a relay is run."""

    health_port: int | None
    """The port of the health endpoint; 0 for a free one, None for no endpoint."""

    health_host: str
    """The address of the health endpoint."""

    port_option: str = "--health-port"
    """The option of the command line that sets the port, for the error when it is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingOutcome:
    """How the program ended."""

    first_signal: int | None
    """The signal that stopped it; None if it ended by itself."""

    aborted_by: int | None
    """The second signal, which cancelled it before it had finished; None if there was none."""


class StopSignals:
    """Handles SIGTERM and Ctrl-C: the first lets the program finish its work in progress, the second cancels it.

    From the second on the process has a deadline, also while a handler blocks the event loop: Python calls a signal's
    handler between any two instructions, asyncio's only when the loop is free. The third ends the process at once.
    """

    def __init__(self, program: Program, running: asyncio.Task[None], deadline: ExitDeadline) -> None:
        self.numbers: list[int] = []
        """The signals so far."""
        self._program = program
        self._second = asyncio.Event()
        self._running = running
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    async def wait(self) -> ServingOutcome:
        """Return once the program has ended; raise what it raised."""
        second = asyncio.create_task(self._second.wait())
        await asyncio.wait({self._running, second}, return_when=asyncio.FIRST_COMPLETED)
        await cancel_and_wait(second)
        aborted = not self._running.done()
        if await cancel_and_wait(self._running, again=1.0, limit=ABORT_TIMEOUT):
            abandon(self._running)
        elif not self._running.cancelled():
            self._running.result()
        return ServingOutcome(
            first_signal=self.numbers[0] if self.numbers else None,
            aborted_by=self.numbers[-1] if aborted else None,
        )

    def _on_signal(self, number: int, _frame: object) -> None:
        self.numbers.append(number)
        if len(self.numbers) == 2:
            self._deadline.arm(ABORT_TIMEOUT + EXIT_TIMEOUT, SIGNAL_BASE + number)
        elif len(self.numbers) > 2:
            self._deadline.arm(0, SIGNAL_BASE + number)
        with suppress(RuntimeError):  # the event loop is closed: the program has ended
            self._loop.call_soon_threadsafe(self._stop, number)

    def _stop(self, number: int) -> None:
        if len(self.numbers) > 1:
            self._second.set()
            return
        emit(Signal.RUN_STOPPING, signal=signal.Signals(number).name)
        self._program.stop()


def run_until_stopped(serving: Serving, build: Build) -> int:
    """Run the target until it ends or a signal stops it, and return the process's exit code.

    That is 0 after SIGTERM, 130 after Ctrl-C, and 128 plus the number of a second signal, which aborts it.
    """
    deadline = ExitDeadline()

    async def run_to_its_end() -> int:
        code = 1
        try:
            outcome = await serve(serving, build, deadline)
            interrupted = signal.SIGINT if outcome.first_signal == signal.SIGINT else None
            ended_by = interrupted if outcome.aborted_by is None else outcome.aborted_by
            code = 0 if ended_by is None else SIGNAL_BASE + ended_by
        finally:
            # From here on the event loop ends, which waits for tasks and threads that the program has left.
            deadline.arm(EXIT_TIMEOUT, code)
        return code

    try:
        code = asyncio.run(run_to_its_end())
    finally:
        deadline.disarm()
    emit(Signal.RUN_ENDED, exit_code=code)
    return code


async def serve(serving: Serving, build: Build, deadline: ExitDeadline) -> ServingOutcome:
    """Run the target until it ends or is stopped, and return how it ended; a second signal arms `deadline`."""
    # The user's own code, such as a function that builds the program, reads its server from these variables.
    settings = {
        URL_VARIABLE: serving.redis_url,
        PREFIX_VARIABLE: serving.prefix,
        DATABASE_VARIABLE: serving.database_url,
    }
    for variable, value in settings.items():
        if value:
            os.environ[variable] = value
    if serving.health_port is not None:
        with suppress(MissingExtraError):
            prometheus_module()  # which takes a moment, in which nothing runs yet
    async with AsyncExitStack() as stack:
        program = await open_program(serving.target, serving.folder, build, stack)
        running: asyncio.Task[None] = asyncio.create_task(_run(serving.target, program))
        signals = StopSignals(program, running, deadline)
        try:
            if serving.health_port is not None:
                ping = await stack.enter_async_context(open_ping(serving.redis_url)) if serving.redis_url else None
                probe = readiness_probe(program, ping, is_stopping=lambda: bool(signals.numbers))
                metrics = metrics_reader(program, probe)
                where = (serving.health_host, serving.health_port)
                endpoint = health_endpoint(*where, probe, metrics, option=serving.port_option)
                port = await stack.enter_async_context(endpoint)
                emit(Signal.RUN_HEALTH, url=f"http://{serving.health_host}:{port}/ready")
            emit(Signal.RUN_STARTED, program=type(program).__name__, target=serving.target)
            return await signals.wait()
        finally:
            if await cancel_and_wait(running, again=1.0, limit=ABORT_TIMEOUT):
                abandon(running)


async def _run(target: str, program: Program) -> None:
    try:
        await program.run()
    except DomainStreamError:
        raise
    except Exception as error:  # a user's program may do anything
        raise TargetError(f"{target} ended with {type(error).__name__}. To see where, add: --debug") from error
