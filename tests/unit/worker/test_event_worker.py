"""What a worker says about itself, by what its engine counts."""

import asyncio
from typing import Any

import pytest
from support.consuming import running, until

from domainstream.health import Health
from domainstream.lifecycle import Lifecycle
from domainstream.worker import EventConsumer, EventWorker, WorkerStats


class CountingEngine:
    """An engine that only counts."""

    def __init__(self, **counts: Any) -> None:
        self.counts = WorkerStats(**counts)

    def stats(self) -> WorkerStats:
        """Return the counts."""
        return self.counts

    def problem(self) -> str:
        """Report none."""
        return ""

    async def run(self, lifecycle: Lifecycle) -> None:
        """Run until stopped."""
        await lifecycle.stopping.wait()


async def health_of(engine: Any) -> Health:
    """Return the health of a running worker."""
    worker = EventWorker(engine)
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    health = await worker.health()
    await worker.close()
    await task
    return health


async def test_stats_are_those_of_the_engine() -> None:
    """`stats` is a snapshot of what the engine has counted."""
    engine: Any = CountingEngine(completed=3, failed=1)
    assert EventWorker(engine).stats == WorkerStats(completed=3, failed=1)


async def test_failing_calls_make_it_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose calls to the server fail is not healthy, and names the last error."""
    monkeypatch.setattr("domainstream.worker.bullmq.engine.SHUTDOWN_TIMEOUT", 0.1)
    worker = EventWorker.from_url("redis://127.0.0.1:1", EventConsumer("valuation"))
    async with running(worker):

        async def is_reported() -> bool:
            problem = (await worker.health()).problem or ""
            return "calls in a row to the server failed: no connection to the server" in problem

        await until(is_reported)


async def test_worker_without_failures_is_healthy() -> None:
    """A running worker without failing calls is healthy."""
    assert await health_of(CountingEngine(completed=1)) == Health(ok=True)
