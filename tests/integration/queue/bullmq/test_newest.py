"""The newest jobs of a queue, page by page."""

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs
from support.working import Valuation, jobs_of

from domainstream.queue.bullmq.inspection import BullMQInspection

QUEUE = "valuation"


@pytest.fixture
async def inspection(redis: Redis, redis_url: str, stream_prefix: str) -> BullMQInspection:
    """An inspection of a queue with the jobs event-0 to event-4, of which the first three have failed, in order."""
    prefix = f"{stream_prefix}bull"
    queue = Valuation(redis_url, prefix, BullJobs(redis, prefix, QUEUE))
    await queue.add(*jobs_of(5))
    for number in range(3):
        await redis.lrem(f"{queue.jobs.key}:wait", 1, f"event-{number}")
        await redis.zadd(f"{queue.jobs.key}:failed", {f"event-{number}": 1_000 + number})
    return BullMQInspection(redis, bull_prefix=prefix)


@pytest.mark.parametrize(
    ("state", "start", "count", "expected"),
    [
        ("failed", 0, 2, ["event-2", "event-1"]),
        ("failed", 2, 2, ["event-0"]),
        ("failed", 4, 2, []),
        ("failed", -1, 1, ["event-0"]),
        ("wait", 0, 9, ["event-4", "event-3"]),
        ("wait", -1, 1, ["event-3"]),
        ("delayed", 0, 9, []),
    ],
)
async def test_page_has_the_newest_first(
    inspection: BullMQInspection, state: str, start: int, count: int, expected: list[str]
) -> None:
    """A page begins with the newest job that is not on the pages before; -1 is the oldest of all."""
    found = await inspection.newest(QUEUE, state, start=start, count=count)
    assert [job.job_id for job in found] == expected
    assert {job.state for job in found} <= {state}
