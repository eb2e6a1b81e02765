"""Queues of BullMQ on a real server keep the contract of the port, and refusals are errors."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from support.consuming import BullJobs

from domainstream.errors import ServerRefusedError, ServerUnavailableError
from domainstream.queue import BullMQQueue, Job, JobSettings
from domainstream.queue.bullmq.scripts import STANDARD
from domainstream.redis.scripts import Script
from domainstream.testing.queue_contract import QueueContract, QueueHarness, job


class BullMQHarness(QueueHarness):
    """BullMQ's queues on a real server."""

    def __init__(self, url: str, redis: Redis, prefix: str) -> None:
        self.queue: BullMQQueue = BullMQQueue.from_url(url, bull_prefix=prefix)
        self._redis = redis
        self._prefix = prefix

    async def jobs(self, queue: str) -> list[Job]:
        """Return the waiting jobs as they stand in Redis."""
        stored = BullJobs(self._redis, self._prefix, queue)
        found = {job_id: await stored.fields(job_id) for job_id in await stored.ids()}
        return [Job(queue, fields["name"].decode(), job_id, fields["data"]) for job_id, fields in found.items()]


@pytest.fixture
async def place(redis_url: str, redis: Redis, bull_prefix: str) -> AsyncIterator[BullMQHarness]:
    """BullMQ's queues on a real server."""
    place = BullMQHarness(redis_url, redis, bull_prefix)
    yield place
    await place.queue.close()


class TestBullMQQueue(QueueContract):
    """The contract, on each kind of server."""

    @pytest.fixture
    async def place(self, redis_url: str, redis: Redis, bull_prefix: str) -> AsyncIterator[QueueHarness]:
        """BullMQ's queues on a real server."""
        place = BullMQHarness(redis_url, redis, bull_prefix)
        yield place
        await place.queue.close()


async def test_options_are_what_bullmq_reads(redis_url: str, bull_prefix: str, valuation: BullJobs) -> None:
    """Attempts, backoff and keeping reach the job in BullMQ's words and units."""
    settings = JobSettings(attempts=5, backoff=timedelta(seconds=2), keep_completed=timedelta(minutes=1))
    queue = BullMQQueue.from_url(redis_url, bull_prefix=bull_prefix)
    await queue.add([replace(job("event-1"), settings=settings)])
    await queue.close()
    assert json.loads((await valuation.fields("event-1"))["opts"]) == {
        "attempts": 5,
        "delay": 0,
        "backoff": {"type": "exponential", "delay": 2000, "jitter": 0.5},
        "jobId": "event-1",
        "removeOnComplete": {"age": 60, "count": 10_000},
        "removeOnFail": {"age": 86_400},
    }


async def test_script_that_the_server_forgot_is_sent_again(place: QueueHarness, redis: Redis) -> None:
    """After SCRIPT FLUSH, or on a server that was restarted, adding works as before."""
    await place.queue.add([job("event-1")])
    await redis.script_flush()
    await place.queue.add([job("event-2")])
    assert [job.id for job in await place.jobs("valuation")] == ["event-1", "event-2"]


async def test_negative_answer_of_the_script_is_an_error(place: BullMQHarness) -> None:
    """BullMQ's refusals are numbers, which must not pass for success."""
    refusing = "return -5"
    place.queue._scripts[STANDARD] = Script.of(refusing)
    with pytest.raises(ServerRefusedError, match="did not add job event-1 to the queue valuation: it answered -5"):
        await place.queue.add([job("event-1")])


async def test_error_of_the_script_does_not_quote_the_data(place: QueueHarness, redis: Redis, bull_prefix: str) -> None:
    """A key of the wrong type is an error of ours that holds nothing of the payload."""
    await redis.set(f"{bull_prefix}:valuation:wait", "text")
    with pytest.raises(ServerRefusedError, match="WRONGTYPE") as raised:
        await place.queue.add([job("event-1")])
    assert "score" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "state", "broken"),
    [
        (JobSettings(), "wait", "wait"),
        (JobSettings(), "wait", "marker"),
        (JobSettings(delay=timedelta(minutes=5)), "delayed", "marker"),
        (JobSettings(priority=7), "prioritized", "marker"),
    ],
    ids=["before its id is in the queue", "after it", "after it, delayed", "after it, with a priority"],
)
async def test_refused_job_can_be_added_later(
    place: BullMQHarness, redis: Redis, valuation: BullJobs, settings: JobSettings, state: str, broken: str
) -> None:
    """What BullMQ wrote before it failed is taken back, so that the next try adds the job, and adds it once."""
    one = replace(job("event-1"), settings=settings)
    await redis.set(f"{valuation.key}:{broken}", "text")
    with pytest.raises(ServerRefusedError, match="WRONGTYPE"):
        await place.queue.add([one])
    await redis.delete(f"{valuation.key}:{broken}")
    await place.queue.add([one])
    assert await valuation.ids(state) == ["event-1"]


async def test_known_job_outlives_a_refusal(place: BullMQHarness, redis: Redis, valuation: BullJobs) -> None:
    """A repeat that is refused does not take back the job that was there before."""
    await place.queue.add([job("event-1")])
    await redis.set(f"{valuation.key}:events", "text")
    with pytest.raises(ServerRefusedError, match="WRONGTYPE"):
        await place.queue.add([job("event-1")])
    assert [one.id for one in await place.jobs("valuation")] == ["event-1"]


async def test_server_that_is_not_there_is_unavailable() -> None:
    """Nobody listening is an error of ours."""
    queue = BullMQQueue.from_url("redis://127.0.0.1:1")
    with pytest.raises(ServerUnavailableError):
        await queue.add([job("event-1")])
    await queue.close()


@pytest.mark.parametrize(
    ("settings", "state"),
    [(JobSettings(delay=timedelta(minutes=5)), "delayed"), (JobSettings(priority=7), "prioritized")],
    ids=["delay", "priority"],
)
async def test_jobs_wait_where_bullmq_looks_for_them(
    place: BullMQHarness, valuation: BullJobs, settings: JobSettings, state: str
) -> None:
    """A job with a delay or a priority is added by BullMQ's script for those."""
    await place.queue.add([replace(job("event-1"), settings=settings), job("event-2")])
    assert await valuation.ids(state) == ["event-1"]
    assert await valuation.ids() == ["event-2"]
