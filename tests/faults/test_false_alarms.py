"""Locks of two seconds under many jobs: a worker reports no lock as lost that it has not lost.

The control, which forgets what it has reported, is in `tests/integration/worker/bullmq/test_lost_locks.py`: there the
order that raises a false alarm is certain, here it is left to chance.
"""

import asyncio
from datetime import timedelta

import pytest
from faults.conftest import Report
from faults.scene import Scene
from faults.sizes import Size
from support.consuming import BullJobs
from support.working import Valuation, jobs_of, working

from domainstream.queue import BullMQQueue, JobSettings
from domainstream.telemetry import Signal
from domainstream.worker import ReceivedJob
from domainstream.worker.bullmq.engine import BullMQEngine
from domainstream.worker.outcomes import AttemptResult, Completed

LOCK = timedelta(seconds=2)
CHUNK = 10_000
"""Jobs that are added at a time; so many wait at most."""

SETTINGS = JobSettings(keep_completed_count=1)


async def attempt(job: ReceivedJob) -> AttemptResult:
    """Take a moment, so that handlers are running when locks are renewed."""
    await asyncio.sleep(0.001)
    return Completed()


async def add(scene: Scene, engine: BullMQEngine, count: int) -> None:
    """Add `count` jobs in chunks, each once the one before has completed."""
    queue = BullMQQueue.from_url(scene.server.url, bull_prefix="bull")
    for added in range(0, count, CHUNK):
        chunk = min(CHUNK, count - added)
        await queue.add(jobs_of(chunk, SETTINGS, first=added))
        await scene.until(lambda end=added + chunk: engine.stats().completed >= end)  # type: ignore[misc]
    await queue.close()


def jobs_in(caplog: pytest.LogCaptureFixture, signal: Signal) -> set[str]:
    """Return the jobs that a signal named."""
    return {record.domainstream_job for record in caplog.records if record.message.startswith(signal.value)}  # type: ignore[attr-defined]


async def test_no_lock_is_reported_as_lost_that_is_not(
    scene: Scene, size: Size, report: Report, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs that end while their locks are renewed raise no alarm; on a machine that stalls, each alarm is true."""
    valuation = Valuation(scene.server.url, "bull", BullJobs(scene.redis, "bull", "valuation"))
    engine = valuation.engine(attempt, concurrency=50, lock=LOCK)
    async with working(engine):
        await add(scene, engine, size.locked_jobs)
    alarms, rejected = jobs_in(caplog, Signal.WORKER_LOCK_LOST), jobs_in(caplog, Signal.WORKER_OUTCOME_REJECTED)
    assert alarms - rejected == set()
    completed = engine.stats().completed
    report(f"{completed} jobs with a lock of {LOCK.total_seconds():g} s, {len(rejected)} lost it, no false alarm")
