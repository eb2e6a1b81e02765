"""What default settings keep: jobs that fail for hours, and jobs that have failed."""

import asyncio
import json
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.consuming import OptimizationEvaluated, running, until
from support.working import Valuation, job_of

from domainstream.queue import JobSettings
from domainstream.worker import EventContext

TWO_DAYS_MS = 2 * 86_400_000


async def broken(event: OptimizationEvaluated, context: EventContext) -> None:
    """Handle an event as if the database were away."""
    raise ConnectionError(f"attempt {context.attempt}")


@pytest.mark.parametrize(
    ("attempts", "state"), [(3, "failed"), (JobSettings().attempts, "completed")], ids=["control", "default"]
)
async def test_outage_that_outlasts_three_attempts_fails_no_job(queue: Valuation, attempts: int, state: str) -> None:
    """A job outlives more failures than the three attempts that used to be the default."""

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        if context.attempt <= 10:
            await broken(event, context)

    brief = timedelta(milliseconds=5)
    await queue.add(job_of(settings=JobSettings(attempts=attempts, backoff=brief, max_backoff=brief)))
    async with running(queue.worker(handle)):
        assert await queue.ended(state) == ["event-1"]


async def test_last_error_is_visible_while_a_job_is_retried(queue: Valuation) -> None:
    """A job that waits for its next attempt has the reason and the stacks of the newest failures."""
    soon, later = timedelta(milliseconds=5), timedelta(minutes=1)

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        await broken(event, context)

    await queue.add(job_of(settings=JobSettings(attempts=9, backoff=soon, max_backoff=soon)))
    async with running(queue.worker(handle)):
        await queue.ended("failed")
    await queue.add(job_of(job_id="event-2", settings=JobSettings(backoff=later, jitter=0)))
    async with running(queue.worker(handle)):
        assert await queue.ended("delayed") == ["event-2"]
    nine, one = await queue.jobs.fields("event-1"), await queue.jobs.fields("event-2")
    assert one["failedReason"].endswith(b"attempt 1")
    stacks = json.loads(nine["stacktrace"])
    assert [stack.rpartition(" ")[2].strip() for stack in stacks] == ["5", "6", "7", "8", "9"]


@pytest.mark.parametrize(
    ("keep_failed", "kept"),
    [(timedelta(hours=24), ["event-2"]), (None, ["event-1", "event-2"])],
    ids=["control", "default"],
)
async def test_failed_job_stays(queue: Valuation, redis: Redis, keep_failed: timedelta | None, kept: list[str]) -> None:
    """A job that failed two days ago is still there when the next one fails."""
    settings = JobSettings(attempts=1, keep_failed=keep_failed)
    await queue.add(job_of(settings=settings))
    async with running(queue.worker(broken)):
        await queue.ended("failed")
        await redis.zincrby(f"{queue.jobs.key}:failed", -TWO_DAYS_MS, "event-1")
        await queue.add(job_of(job_id="event-2", settings=settings))
        await until(lambda: redis.zscore(f"{queue.jobs.key}:failed", "event-2"))
        assert await queue.jobs.ids("failed") == kept


async def test_command_in_the_log_retries_the_job(
    queue: Valuation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line about a failed job has the very commands that show it and let an updated worker handle it."""
    monkeypatch.setenv("REDIS_URL", queue.url)
    await queue.add(job_of(settings=JobSettings(attempts=1)))
    async with running(queue.worker(broken)):
        await queue.ended("failed")
    record = next(record for record in caplog.records if record.getMessage().startswith("worker.job_failed "))
    shown = await asyncio.to_thread(command, vars(record)["domainstream_show"])
    assert "ConnectionError: attempt 1" in shown
    await asyncio.to_thread(command, f"{vars(record)['domainstream_retry']} --yes")

    async def repaired(event: OptimizationEvaluated, context: EventContext) -> None:
        assert context.attempt == 1

    async with running(queue.worker(repaired)):
        assert await queue.ended("completed") == ["event-1"]


def command(line: str) -> str:
    """Run a command line and return what it printed."""
    program, *arguments = shlex.split(line)
    path = Path(sys.executable).with_name(program)
    return subprocess.run([path, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(("bound", "small"), [(2**30, False), (None, True)], ids=["control", "default"])
async def test_long_message_stays_small_in_redis(
    queue: Valuation, redis: Redis, monkeypatch: pytest.MonkeyPatch, *, bound: int | None, small: bool
) -> None:
    """An exception that quotes a whole response is cut, in the job as well as in BullMQ's stream of events."""
    if bound is not None:
        monkeypatch.setattr("domainstream.worker.failures.MAX_REASON", bound)
        monkeypatch.setattr("domainstream.worker.failures.MAX_STACK", bound)

    async def quoting(event: OptimizationEvaluated, context: EventContext) -> None:
        raise ValueError("response: " + "x" * 1_000_000)

    soon = timedelta(milliseconds=5)
    await queue.add(job_of(settings=JobSettings(attempts=6, backoff=soon, max_backoff=soon)))
    async with running(queue.worker(quoting)):
        await queue.ended("failed")
    sizes = [await redis.memory_usage(f"{queue.jobs.key}:{name}", samples=0) for name in ("event-1", "events")]
    assert (sum(size or 0 for size in sizes) < 150_000) is small
