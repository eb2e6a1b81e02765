"""Runs the demo, from finding a server to the end of the last process."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import aclosing, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from domainstream.redis.topology import TopologyKind
from domainstream.tools.demo import notifications
from domainstream.tools.demo.processes import Children
from domainstream.tools.demo.protocol import ChildSettings
from domainstream.tools.demo.redis_demo_server import RedisDemoServer
from domainstream.tools.demo.screen import DemoScreen
from domainstream.tools.demo.servers import DemoServers, demo_servers
from domainstream.tools.demo.tally import DemoOutcome, Tally
from domainstream.tools.signals import Interrupts

EVENTS: Final = 1000
"""How many medical stays are handed in by default, and how many a failover is planned for."""

STALL_TIMEOUT = 30.0
"""Seconds without progress after which a run is aborted."""

_LOOK_EVERY = 0.1
_QUICKLY: Final = 80.0
"""Stays per second: slower than the services, so that no backlog distorts latencies."""

_SLOWLY: Final = 10.0
"""Stays per second while people watch."""


async def run_demo(
    screen: DemoScreen,
    *,
    events: int | None,
    seed: int,
    redis_url: str | None,
    kind: TopologyKind = TopologyKind.SINGLE,
    in_order: bool = True,
    has_dashboard: bool = False,
) -> DemoOutcome:
    """Run the demo and return its result. Leaves no process, no file and no key behind.

    `events` is the number of medical stays to hand in, at least 1, and `seed` is what they are made from. `redis_url`
    names the server to use; None finds or starts one. Of any other `kind`, several servers are started, and a primary
    is killed in the middle. Not `in_order`, the rule that keeps the events of an aggregate in order is left out. A run
    that `has_dashboard` hands in stays slowly, all the time if `events` is None, and only ends when it is interrupted.

    Raises `ServerNotFoundError`, `ServerUnavailableError`, `ServerWentAwayError` or `InterruptedRunError`.
    """
    interrupts = Interrupts()
    if kind is not TopologyKind.SINGLE:
        screen.wait("Starting the servers ...")
        if problem := notifications.missing():
            screen.warn(f"The Node.js service is left out: {problem}")
    name = f"domainstream-demo-{secrets.token_hex(6)}"
    with (
        TemporaryDirectory(prefix=name, ignore_cleanup_errors=True) as folder,
        demo_servers(kind, redis_url, folder=Path(folder), run=name, events=events or EVENTS) as servers,
    ):
        async with aclosing(RedisDemoServer(servers.url, name)) as redis:
            server = await interrupts.guard(redis.describe())
            run = _Run(servers, redis, screen, in_order=in_order)
            try:
                settings = ChildSettings(
                    url=servers.url,
                    run=name,
                    events=events,
                    seed=seed,
                    stays_per_second=_SLOWLY if has_dashboard else _QUICKLY,
                    database_file=_create_database(Path(folder, "coding.db")),
                    survives_failover=servers.failover is not None,
                    in_order=in_order,
                    has_dashboard=has_dashboard,
                    announces=servers.failover is not None and notifications.missing() is None,
                )
                await interrupts.guard(run.work(settings))
            finally:
                await run.clean_up()
            if run.problems:
                # The cause first: without a server, the exit reports of the processes are only consequences.
                await redis.check()
            return run.outcome(f"{server} ({servers.origin})")


def _create_database(file: Path) -> str:
    """Make a SQLite file in which the relay's reads and the service's writes do not wait for each other."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=wal")
    return str(file)


class _Run:
    def __init__(self, servers: DemoServers, redis: RedisDemoServer, screen: DemoScreen, *, in_order: bool) -> None:
        self._servers = servers
        self._failover = servers.failover
        self._redis = redis
        self._screen = screen
        self._in_order = in_order
        self._tally = Tally()
        self._children = Children(self._tally.add)
        self._stalled: list[str] = []
        self._seconds = 0.0

    async def work(self, settings: ChildSettings) -> None:
        """Start everything, hand in the stays, and watch until all events are handled or progress stops."""
        await self._children.start(settings)
        if await self._watch(lambda: self._children.all_are_ready):
            began = time.monotonic()
            self._children.hand_in_stays()
            if settings.has_dashboard:
                self._screen.announce(self._tally.dashboard)
            await self._watch(self._is_done, until_interrupted=settings.has_dashboard)
            self._seconds = time.monotonic() - began

    @property
    def problems(self) -> list[str]:
        """Why the run failed: progress stopped, or processes died."""
        return [*self._stalled, *self._children.dead]

    async def clean_up(self) -> None:
        """End the processes and, on a server of the user, delete the run's keys."""
        await self._children.stop()
        problem = None if self._servers.are_ours else await self._redis.forget_run()
        if problem:
            self._screen.warn(problem)

    def outcome(self, server: str) -> DemoOutcome:
        """Return the result of the run."""
        failover = self._failover.outcome if self._failover else None
        return DemoOutcome.of(
            self._tally,
            seconds=self._seconds,
            server=server,
            problems=self.problems,
            failover=failover,
            in_order=self._in_order,
        )

    def _is_done(self) -> bool:
        """Kill the primary when it is time; return whether all is handled, by what has taken over."""
        if self._failover is None:
            return self._tally.complete
        self._failover.proceed(self._tally.published_by_channel)
        return self._tally.complete and self._failover.outcome is not None

    async def _watch(self, done: Callable[[], bool], *, until_interrupted: bool = False) -> bool:
        progress, since = self._progress(), time.monotonic()
        while (not done() or until_interrupted) and not self._children.dead:
            await self._show()
            await asyncio.sleep(_LOOK_EVERY)
            if progress != self._progress():
                progress, since = self._progress(), time.monotonic()
            elif time.monotonic() - since > STALL_TIMEOUT and not until_interrupted:
                self._stalled.append(f"nothing has happened for {STALL_TIMEOUT:.0f} seconds")
                break
        await self._show()
        return done()

    async def _show(self) -> None:
        channels = list(dict.fromkeys(subscription.channel for subscription in self._tally.subscriptions))
        note = self._failover.note if self._failover else ""
        if self._tally.dashboard:
            note = f"Dashboard: {self._tally.dashboard}   Ctrl-C ends the demo.\n{note}"
        self._screen.show(self._tally, await self._redis.lengths(channels), note)

    def _progress(self) -> tuple[int, int, int, int, str]:
        tally, note = self._tally, self._failover.note if self._failover else ""
        return self._children.ready, tally.total_published, tally.total_handled, len(tally.failures), note
