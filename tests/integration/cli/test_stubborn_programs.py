"""`domainstream run` ends, whatever the code of users does, with its jobs handed back and a line that says why."""

import asyncio
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from integration.cli.conftest import Running, Start
from redis.asyncio import Redis
from support.consuming import PATIENCE, BullJobs, until
from support.working import Valuation, job_of

from domainstream.lifecycle import ABORT_LIMIT
from domainstream.testing import EmbeddedServer, server_binaries
from domainstream.tools.serving.exit_deadline import EXIT_TIMEOUT
from domainstream.tools.serving.serving import ABORT_TIMEOUT
from domainstream.worker.abandoned import CANCELLATION_LIMIT

GRACE = 1
MARGIN = 20.0
"""Seconds that a busy machine may take for what should happen at once."""


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """The URL of one server: how a process ends does not depend on the kind of server."""
    with EmbeddedServer(next(iter(server_binaries())).path) as server:
        yield server.url


@dataclass(frozen=True)
class Queue:
    """The queue of a test, and a worker on it in a process of its own."""

    jobs: BullJobs
    process: Running

    async def is_free(self) -> bool:
        """Return whether the job is back in the queue, without a lock."""
        locked = await self.jobs.redis.exists(f"{self.jobs.key}:event-1:lock")
        return not locked and await self.jobs.ids() == ["event-1"]

    async def end(self, *signals: signal.Signals, within: float) -> int:
        """Send these signals, and return the exit code of the process, which must end in time."""
        for number in signals:
            self.process.process.send_signal(number)
            await asyncio.sleep(0.2)
        began = time.monotonic()
        exit_code = await self.process.ends(within + MARGIN)
        assert time.monotonic() - began < within + MARGIN
        return exit_code


async def working(
    start: Start, redis: Redis, url: str, prefix: str, target: str, grace: int = GRACE, **environment: str
) -> Queue:
    """Start a worker whose handler is at its job; with `IMPATIENT` it and its process have a second to end."""
    jobs = BullJobs(redis, f"{prefix}bull", "valuation")
    await Valuation(url, f"{prefix}bull", jobs).add(job_of())
    words = ["worker", f"run_targets:{target}", "--bull-prefix", f"{prefix}bull", "--grace", f"{grace}s"]
    process = await start(*words, **environment)
    await process.prints("handling")
    return Queue(jobs, process)


@pytest.mark.parametrize("target", ["swallowing", "blocking_a_thread"])
async def test_handler_that_does_not_end_keeps_neither_job_nor_process(
    start: Start, redis: Redis, redis_url: str, stream_prefix: str, target: str
) -> None:
    """After SIGTERM and the grace period the job is back in the queue, and the process ends and names the handler."""
    queue = await working(start, redis, redis_url, stream_prefix, target)
    assert await queue.end(signal.SIGTERM, within=GRACE + CANCELLATION_LIMIT) == 0
    assert await queue.is_free()
    log = "\n".join(queue.process.log)
    name = {"swallowing": "swallow", "blocking_a_thread": "block_a_thread"}[target]
    assert f"worker.handlers_late queue=valuation handlers={name} (1)" in log
    assert ("worker.handler_abandoned handler=swallow job=event-1 where=" in log) == (target == "swallowing")
    assert ("worker.thread_abandoned handler=block_a_thread" in log) == (target != "swallowing")


@pytest.mark.parametrize(("target", "second"), [("swallowing", signal.SIGTERM), ("blocking_a_thread", signal.SIGINT)])
async def test_second_signal_ends_the_process_at_once(
    start: Start, redis: Redis, redis_url: str, stream_prefix: str, target: str, second: signal.Signals
) -> None:
    """At the second signal the job is handed back and the process ends, although the grace period is a minute."""
    queue = await working(start, redis, redis_url, stream_prefix, target, grace=60)
    assert await queue.end(signal.SIGTERM, second, within=ABORT_LIMIT) == 128 + second
    assert await queue.is_free()


async def test_control_first_signal_waits_for_the_grace_period(
    start: Start, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """Control: without a second signal the worker holds its job until the grace period is over."""
    queue = await working(start, redis, redis_url, stream_prefix, "swallowing", grace=60)
    queue.process.process.send_signal(signal.SIGTERM)
    await queue.process.says("run.stopping")
    await asyncio.sleep(1)
    assert queue.process.process.returncode is None
    assert not await queue.is_free()


@pytest.mark.parametrize("target", ["blocking_the_default_executor", "blocking_an_executor", "leaving_a_task"])
async def test_what_a_handler_left_behind_does_not_keep_the_process(
    start: Start, redis: Redis, redis_url: str, stream_prefix: str, target: str
) -> None:
    """Threads and tasks that a handler started, and that Python would wait for, delay the end by some seconds only."""
    queue = await working(start, redis, redis_url, stream_prefix, target, IMPATIENT="yes")
    assert await queue.end(signal.SIGTERM, within=GRACE + CANCELLATION_LIMIT + EXIT_TIMEOUT) == 0
    assert "run.forced_exit exit_code=0 where=" in "\n".join(queue.process.log)


async def test_second_signal_ends_a_process_whose_event_loop_is_blocked(
    start: Start, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """A handler that never returns to the event loop is named when the process is ended after the second signal."""
    queue = await working(start, redis, redis_url, stream_prefix, "blocking_the_event_loop", IMPATIENT="yes")
    signals = signal.SIGTERM, signal.SIGTERM
    assert await queue.end(*signals, within=ABORT_TIMEOUT + EXIT_TIMEOUT) == 143
    assert "run_targets.py:" in queue.process.log[-1]
    assert " in block_the_event_loop threads=" in queue.process.log[-1]


async def test_third_signal_ends_the_process_without_delay(
    start: Start, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """The third signal waits for nothing."""
    queue = await working(start, redis, redis_url, stream_prefix, "blocking_the_event_loop")
    assert await queue.end(signal.SIGTERM, signal.SIGTERM, signal.SIGINT, within=0) == 130


async def test_time_limit_fails_the_attempt_of_a_handler_that_does_not_end(
    start: Start, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """A handler that ignores its time limit fails its attempt on time, and the process ends when it is asked to."""
    queue = await working(start, redis, redis_url, stream_prefix, "swallowing_with_limit")

    async def has_failed() -> bool:
        fields = await queue.jobs.fields("event-1")
        return b"took longer than its time limit of 0.1 s and did not end" in fields.get("failedReason", b"")

    async with asyncio.timeout(PATIENCE):
        await until(has_failed)
    assert await queue.end(signal.SIGTERM, within=GRACE + CANCELLATION_LIMIT) == 0
