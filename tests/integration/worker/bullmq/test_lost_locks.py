"""A lost lock is reported when it is lost, and only then."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partialmethod
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import PATIENCE, until
from support.working import Valuation, held, job_of, working

from domainstream.redis.link import RedisLink
from domainstream.worker import ReceivedJob
from domainstream.worker.bullmq.job import HeldJob
from domainstream.worker.bullmq.lock_renewer import LockRenewer
from domainstream.worker.bullmq.runner import JobRunner
from domainstream.worker.outcomes import AttemptResult, Completed
from domainstream.worker.settings import WorkerSettings

LOCK = timedelta(milliseconds=300)
LOST = "worker.lock_lost queue=valuation job=event-1 name=price-stay"


class Race:
    """A renewal that the server answers after the end of the job it renews, and before the worker hears of that end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.renewing = asyncio.Event()
        """Set when the lock renewer is about to renew the lock of a job."""
        self.applied = asyncio.Event()
        """Set when the server has applied the end of the job."""
        self.answered = asyncio.Event()
        """Set when the event loop has looked at the answer to the renewal."""
        self._loop = asyncio.get_running_loop()
        self._gate = threading.Event()
        self._heard = asyncio.Event()
        self._call, self._run, self._lock_lost = LockRenewer._call, RedisLink.run, JobRunner.lock_lost
        monkeypatch.setattr(LockRenewer, "_call", partialmethod(_passed_to, self._renew))
        monkeypatch.setattr(RedisLink, "run", partialmethod(_passed_to, self._round_trip))
        monkeypatch.setattr(JobRunner, "lock_lost", partialmethod(_passed_to, self._decide))

    def renew_now(self) -> None:
        """Let the renewal reach the server."""
        self._gate.set()

    def hear(self) -> None:
        """Let the worker hear that the job's end was applied."""
        self._heard.set()

    def _renew(self, renewer: LockRenewer, name: str, *given: Any) -> list[bytes]:
        if name == "extendLocks":
            self._loop.call_soon_threadsafe(self.renewing.set)
            self._gate.wait(PATIENCE)
        return self._call(renewer, name, *given)

    async def _round_trip(self, link: RedisLink, *given: Any) -> Any:
        answer = await self._run(link, *given)
        if answer[0][0]:
            self.applied.set()
            await self._heard.wait()
        return answer

    def _decide(self, runner: JobRunner, job: HeldJob) -> None:
        self._lock_lost(runner, job)
        self.answered.set()


def _passed_to(instead_of: Any, function: Callable[..., Any], *given: Any) -> Any:
    return function(instead_of, *given)


async def lose_the_race(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete a job while its lock is renewed, in the order that once raised a false alarm."""
    race, going_on = Race(monkeypatch), asyncio.Event()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        await going_on.wait()
        return Completed()

    await queue.add(job_of())
    async with asyncio.timeout(PATIENCE), working(queue.engine(attempt, lock=LOCK)):
        await race.renewing.wait()
        going_on.set()
        await race.applied.wait()
        race.renew_now()
        await race.answered.wait()
        race.hear()


async def test_renewal_that_comes_after_the_end_of_its_job_is_no_alarm(
    queue: Valuation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that was completed while its lock was being renewed has not lost its lock, and nothing is logged."""
    await lose_the_race(queue, monkeypatch)
    assert await queue.jobs.ids("completed") == ["event-1"]
    assert "lock" not in caplog.text


async def test_control_renewal_that_comes_after_the_end_of_its_job_is_an_alarm(
    queue: Valuation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Control: a worker that forgets that it has reported the end of a job takes the answer for a lost lock."""

    class Forgetful(Race):
        def _decide(self, runner: JobRunner, job: HeldJob) -> None:
            job.ended = False
            super()._decide(runner, job)

    monkeypatch.setitem(globals(), "Race", Forgetful)
    await lose_the_race(queue, monkeypatch)
    assert LOST in caplog.text


@pytest.mark.parametrize("taken", [False, True], ids=["deleted", "taken by another worker"])
async def test_lost_lock_is_logged(
    queue: Valuation, redis: Redis, caplog: pytest.LogCaptureFixture, *, taken: bool
) -> None:
    """The handler of a job that lost its lock runs on; the log reports the lost lock and the rejected outcome."""
    started, going_on = asyncio.Event(), asyncio.Event()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        started.set()
        await going_on.wait()
        return Completed()

    await queue.add(job_of())
    async with working(queue.engine(attempt, lock=LOCK)):
        await started.wait()
        key = f"{queue.jobs.key}:event-1:lock"
        await (redis.set(key, "another worker's") if taken else redis.delete(key))
        await until(lambda: LOST in caplog.text)
        going_on.set()
        reason = "its lock had expired, and another" if taken else "its lock had expired; the job runs again"
        await until(lambda: f"outcome=complete reason={reason}" in caplog.text)
    assert caplog.text.count("worker.lock_lost") == 1
    assert "worker.outcome_rejected queue=valuation job=event-1 name=price-stay" in caplog.text
    assert await queue.jobs.ids("active") == ["event-1"]


@contextmanager
def renewer_of(queue: Valuation, *jobs: HeldJob) -> Iterator[LockRenewer]:
    """Return the lock renewer of a worker that holds these jobs; it does not run."""
    client = queue.engine(lambda _: asyncio.sleep(0, Completed()))._renewer._redis
    yield LockRenewer(client, "valuation", f"{queue.jobs.key}:", {job.token: job for job in jobs}, WorkerSettings())
    client.close()


async def test_job_that_its_worker_fetched_again_has_lost_its_older_lock_only(queue: Valuation, redis: Redis) -> None:
    """A job that stalled and came back to the same worker is reported once: the newer lock is renewed."""
    older, newer = held("older"), held("newer")
    lost: list[HeldJob] = []
    await redis.set(f"{queue.jobs.key}:event-1:lock", "newer", px=1_000)
    with renewer_of(queue, older, newer) as renewer:
        await asyncio.to_thread(renewer._renew, lost.append)
    assert lost == [older]
    assert await redis.pttl(f"{queue.jobs.key}:event-1:lock") > 1_000
