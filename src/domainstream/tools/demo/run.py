"""Runs the demo, from finding a server to the end of the last process."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import aclosing, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from domainstream.testing import find_server
from domainstream.tools.demo.processes import NAMES, Children
from domainstream.tools.demo.protocol import ChildSettings
from domainstream.tools.demo.redis_demo_server import RedisDemoServer
from domainstream.tools.demo.screen import DemoScreen
from domainstream.tools.demo.tally import DemoOutcome, Tally
from domainstream.tools.signals import Interrupts

STALL_TIMEOUT = 30.0
"""Seconds without progress after which a run is aborted."""

_LOOK_EVERY = 0.1
_NOT_OURS = ("explicit URL", "REDIS_URL")


async def run_demo(screen: DemoScreen, *, events: int, seed: int, redis_url: str | None) -> DemoOutcome:
    """Run the demo and return its result. Leaves no process, no file and no key behind.

    `events` is the number of medical stays to hand in, at least 1, and `seed` is what they are made from. `redis_url`
    names the server to use; None finds or starts one.

    Raises `ServerNotFoundError`, `ServerUnavailableError`, `ServerWentAwayError` or `InterruptedRunError`.
    """
    interrupts = Interrupts()
    name = f"domainstream-demo-{secrets.token_hex(6)}"
    with find_server(redis_url) as found, TemporaryDirectory(prefix=name, ignore_cleanup_errors=True) as folder:
        async with aclosing(RedisDemoServer(found.url, name)) as redis:
            server = await interrupts.guard(redis.describe())
            run = _Run(redis, screen)
            try:
                database = _create_database(Path(folder, "coding.db"))
                settings = ChildSettings(url=found.url, run=name, events=events, seed=seed, database_file=database)
                await interrupts.guard(run.work(settings))
            finally:
                await run.clean_up(forget=found.origin in _NOT_OURS)
            if run.problems:
                # The cause first: without a server, the exit reports of the processes are only consequences.
                await redis.check()
            return run.outcome(f"{server} ({found.origin})")


def _create_database(file: Path) -> str:
    """Make a SQLite file in which the relay's reads and the service's writes do not wait for each other."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=wal")
    return str(file)


class _Run:
    def __init__(self, redis: RedisDemoServer, screen: DemoScreen) -> None:
        self._redis = redis
        self._screen = screen
        self._tally = Tally()
        self._children = Children(self._tally.add)
        self._stalled: list[str] = []
        self._seconds = 0.0

    async def work(self, settings: ChildSettings) -> None:
        """Start everything, hand in the stays, and watch until all events are handled or progress stops."""
        await self._children.start(settings)
        if await self._watch(lambda: self._children.ready == len(NAMES)):
            began = time.monotonic()
            self._children.hand_in_stays()
            await self._watch(lambda: self._tally.complete)
            self._seconds = time.monotonic() - began

    @property
    def problems(self) -> list[str]:
        """Why the run failed: progress stopped, or processes died."""
        return [*self._stalled, *self._children.dead]

    async def clean_up(self, *, forget: bool) -> None:
        """End the processes and, on a server of the user, delete the run's keys."""
        await self._children.stop()
        problem = await self._redis.forget_run() if forget else None
        if problem:
            self._screen.warn(problem)

    def outcome(self, server: str) -> DemoOutcome:
        """Return the result of the run."""
        return DemoOutcome.of(self._tally, seconds=self._seconds, server=server, problems=self.problems)

    async def _watch(self, done: Callable[[], bool]) -> bool:
        progress, since = self._progress(), time.monotonic()
        while not done() and not self._children.dead:
            await self._show()
            await asyncio.sleep(_LOOK_EVERY)
            if progress != self._progress():
                progress, since = self._progress(), time.monotonic()
            elif time.monotonic() - since > STALL_TIMEOUT:
                self._stalled.append(f"nothing has happened for {STALL_TIMEOUT:.0f} seconds")
                break
        await self._show()
        return done()

    async def _show(self) -> None:
        channels = list(dict.fromkeys(subscription.channel for subscription in self._tally.subscriptions))
        self._screen.show(self._tally, await self._redis.lengths(channels))

    def _progress(self) -> tuple[int, int, int, int]:
        tally = self._tally
        return self._children.ready, tally.total_published, tally.total_handled, len(tally.failures)
