"""Failed jobs start again and unwanted jobs go, as BullMQ does it, in chunks on the server."""

from datetime import timedelta

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs, running
from support.working import Diary, Valuation, job_of, jobs_of, working

from domainstream.queue import JobSettings
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.bullmq.repair import CHUNK, BullMQRepair
from domainstream.worker import EventContext, GiveUp
from domainstream.worker.context import ReceivedJob
from domainstream.worker.outcomes import AttemptResult, Failed

HOUR = timedelta(hours=1)


@pytest.fixture
def queue(redis_url: str, redis: Redis, stream_prefix: str) -> Valuation:
    """The queue `valuation` of this test."""
    prefix = f"{stream_prefix}bull"
    return Valuation(redis_url, prefix, BullJobs(redis, prefix, "valuation"))


@pytest.fixture
def repair(redis: Redis, queue: Valuation) -> BullMQRepair:
    """Repairs the queues of this test."""
    return BullMQRepair(redis, bull_prefix=queue.prefix)


async def fail(_: ReceivedJob) -> AttemptResult:
    """Fail permanently."""
    return Failed("ValueError: broken", "ValueError: broken")


async def failed(queue: Valuation, count: int) -> list[str]:
    """Add jobs that fail, and return their ids."""
    await queue.add(*jobs_of(count))
    async with working(queue.engine(fail)):
        return await queue.ended("failed", count)


async def test_failed_jobs_are_handled_after_a_retry(queue: Valuation, repair: BullMQRepair) -> None:
    """More failed jobs than one call takes are all handled once they are retried."""
    count = CHUNK + 5
    ids = await failed(queue, count)
    assert await repair.retry("valuation", ids) == count
    diary = Diary()
    async with working(queue.engine(diary)):
        await diary.handled(count)
    assert sorted(diary.ids) == sorted(ids)


async def test_retried_job_gets_all_its_attempts_again(queue: Valuation, repair: BullMQRepair, redis: Redis) -> None:
    """A job that had used up its attempts fails and is retried as often as a new one."""
    (job_id,) = await failed(queue, 1)
    await repair.retry("valuation", [job_id])
    state = await BullMQInspection(redis, bull_prefix=queue.prefix).job("valuation", job_id)
    assert state is not None
    assert (state.state, state.attempts, state.starts, state.failed_reason) == ("wait", 0, 0, "")


async def test_job_whose_workers_died_too_often_is_handled_after_a_retry(
    queue: Valuation, repair: BullMQRepair, redis: Redis
) -> None:
    """BullMQ keeps a note to fail such a job at once; a retry forgets it."""
    (job_id,) = await failed(queue, 1)
    await redis.hset(f"{queue.prefix}:valuation:{job_id}", mapping={"defa": "stalled too often", "stc": "11"})
    await repair.retry("valuation", [job_id])
    diary = Diary()
    async with working(queue.engine(diary)):
        await diary.handled(1)
    assert await redis.hexists(f"{queue.prefix}:valuation:{job_id}", "stc") == 0


async def test_only_failed_jobs_are_retried(queue: Valuation, repair: BullMQRepair) -> None:
    """Jobs that wait or do not exist are left alone, and a repeat changes nothing."""
    ids = await failed(queue, 1)
    await queue.add(*[job for job in jobs_of(2) if job.id not in ids])
    assert await repair.retry("valuation", [*ids, "event-1", "event-2"]) == 1
    assert await repair.retry("valuation", ids) == 0
    assert len(await queue.jobs.ids("wait")) == 2


async def test_delayed_job_starts_at_once_after_a_promotion(queue: Valuation, repair: BullMQRepair) -> None:
    """A job that waits for its next attempt need not wait for its pause."""

    async def fail_once(_: ReceivedJob) -> AttemptResult:
        return Failed("ValueError: broken", "", again_in=HOUR)

    await queue.add(*jobs_of(1))
    async with working(queue.engine(fail_once)):
        ids = await queue.ended("delayed")
    assert await repair.promote("valuation", ids) == 1
    diary = Diary()
    async with working(queue.engine(diary)):
        await diary.handled(1)


async def test_job_that_a_worker_holds_is_not_removed(queue: Valuation, repair: BullMQRepair) -> None:
    """An active job is left to its worker."""
    answers: list[int] = []

    async def remove(job: ReceivedJob) -> AttemptResult:
        answers.append(await repair.remove_failed("valuation", [job.id]))
        answers.append(await repair.remove_delayed("valuation", [job.id]))
        return await fail(job)

    await queue.add(*jobs_of(1))
    async with working(queue.engine(remove)):
        await queue.ended("failed")
    assert answers == [0, 0]


async def test_job_that_began_again_is_not_removed_as_failed_or_delayed(queue: Valuation, repair: BullMQRepair) -> None:
    """Of jobs that were chosen in a state, those that have left it meanwhile are left alone."""
    (job_id,) = await failed(queue, 1)
    assert await repair.remove_delayed("valuation", [job_id]) == 0
    await repair.retry("valuation", [job_id])
    assert await repair.remove_failed("valuation", [job_id]) == 0
    assert await queue.jobs.ids("wait") == [job_id]


async def test_failed_and_delayed_jobs_are_removed(queue: Valuation, repair: BullMQRepair, redis: Redis) -> None:
    """Jobs that are still in the state in which they were chosen are deleted with everything that belongs to them."""
    (job_id,) = await failed(queue, 1)
    await queue.add(job_of(job_id="event-later", settings=JobSettings(delay=HOUR)))
    assert await repair.remove_failed("valuation", [job_id]) == 1
    assert await repair.remove_delayed("valuation", ["event-later"]) == 1
    assert [key async for key in redis.scan_iter(match=f"{queue.prefix}:valuation:event-*")] == []


async def test_retried_handler_may_succeed(queue: Valuation, repair: BullMQRepair) -> None:
    """The whole way: a handler gives up, the cause is fixed, the job is retried and completed."""
    broken = True

    async def handle(_: object, __: EventContext) -> None:
        if broken:
            raise GiveUp("broken")

    await queue.add(job_of())
    async with running(queue.worker(handle)):
        ids = await queue.ended("failed")
        broken = False
        await repair.retry("valuation", ids)
        await queue.ended("completed")
