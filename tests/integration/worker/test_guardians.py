"""Parts of a worker that die: the worker ends with their error, hands its jobs back, and its health fails before."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import PATIENCE, until
from support.consuming import running as running_program
from support.working import Diary, Valuation, job_of, working

from domainstream.lifecycle import Lifecycle
from domainstream.worker import WorkerSettings
from domainstream.worker.bullmq.lock_renewer import LockRenewer
from domainstream.worker.bullmq.loops import MarkerListener, RoundTripLoop

LOCK = WorkerSettings(lock=timedelta(milliseconds=300))


class Hanging:
    """A handler, or an attempt, that waits until it is cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = False

    async def __call__(self, *_: Any) -> Any:
        """Wait."""
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True
        raise AssertionError


def broken(*_: Any) -> Any:
    """Fail as a bug would."""
    raise TypeError("a bug")


async def broken_later(*_: Any) -> Any:
    """Fail as a bug would, in a coroutine."""
    raise TypeError("a bug")


def unanswered(*_: Any) -> Any:
    """Fail as a server does that does not answer."""
    raise ConnectionError("no reply")


GUARDIANS: dict[str, tuple[type, str, Callable[..., Any]]] = {
    "lock renewer": (LockRenewer, "_call", broken),
    "marker listener": (MarkerListener, "_listen", broken_later),
    "round trip loop": (RoundTripLoop, "_apply", broken),
}
"""What dies, and in which of its methods."""


@pytest.mark.parametrize("guardian", GUARDIANS)
async def test_worker_ends_with_the_error_of_a_part_that_died(
    queue: Valuation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, guardian: str
) -> None:
    """A worker does not go on without its lock renewer or one of its loops: its health fails, and `run` raises."""
    hanging = Hanging()
    worker = queue.worker(hanging, settings=LOCK)
    async with asyncio.timeout(PATIENCE):
        running = asyncio.create_task(worker.run())
        await until(lambda: worker._engines[0]._tracker.idle)
        assert (await worker.health()).ok
        monkeypatch.setattr(*GUARDIANS[guardian])
        await queue.add(job_of())
        await worker._lifecycle.stopping.wait()
        health = await worker.health()
        with pytest.raises(TypeError, match="a bug"):
            await running
    assert not health.ok
    assert health.problem == f"the {guardian} has died: TypeError: a bug"
    assert f"background.died program=EventWorker task={guardian} reason=TypeError: a bug" in caplog.text


async def test_jobs_of_a_worker_without_lock_renewer_are_handed_back(
    queue: Valuation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the lock renewer dies, handlers are cancelled before locks expire, and another worker gets the jobs."""
    hanging, diary = Hanging(), Diary()
    await queue.add(job_of())
    running = asyncio.create_task(queue.worker(hanging, settings=LOCK).run())
    async with asyncio.timeout(PATIENCE):
        await hanging.started.wait()
        monkeypatch.setattr(LockRenewer, "_call", broken)
        await asyncio.wait([running])
    monkeypatch.undo()
    assert isinstance(running.exception(), TypeError)
    assert hanging.cancelled
    assert await queue.jobs.ids() == ["event-1"]
    async with working(queue.engine(diary)):
        await queue.ended("completed")
    assert (await queue.jobs.fields("event-1"))["atm"] == b"1"


async def test_control_unwatched_lock_renewer_lets_a_job_run_twice(
    queue: Valuation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: a worker that does not notice the death of its lock renewer runs a job beside another worker."""
    hanging, diary = Hanging(), Diary()
    await queue.add(job_of())
    monkeypatch.setattr(Lifecycle, "_died", lambda *_: None)
    async with working(queue.engine(hanging, grace=0.01, lock=LOCK.lock, stalled_interval=timedelta(milliseconds=50))):
        await hanging.started.wait()
        with monkeypatch.context() as patched:
            patched.setattr(LockRenewer, "_call", broken)
            await until(lambda: not any(thread.name == "lock renewer" for thread in threading.enumerate()))
        async with working(queue.engine(diary, stalled_interval=timedelta(milliseconds=50))):
            await diary.handled(1)
        assert not hanging.cancelled


async def test_health_says_that_locks_are_overdue(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock renewer that is alive but does not get through makes the worker unhealthy while it holds jobs."""
    hanging = Hanging()
    worker = queue.worker(hanging, settings=LOCK, grace=timedelta(milliseconds=10))
    async with running_program(worker):
        monkeypatch.setattr(LockRenewer, "_call", unanswered)
        await queue.add(job_of())
        await hanging.started.wait()

        async def is_overdue() -> bool:
            return "locks were last renewed" in ((await worker.health()).problem or "")

        await until(is_overdue)
