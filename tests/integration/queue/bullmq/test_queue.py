"""BullMQ queues on a real server pass the contract of the port, and rejections are errors."""

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
from domainstream.redis.topology import RedisTopology
from domainstream.testing.queue_contract import QueueContract, QueueHarness, job


class BullMQHarness(QueueHarness):
    """BullMQ's queues on a real server."""

    def __init__(self, url: str, redis: Redis, prefix: str, *, name: str = "{}") -> None:
        self.queue: BullMQQueue = BullMQQueue.from_url(url, bull_prefix=prefix)
        self._redis = redis
        self._prefix = prefix
        self._name = name

    async def jobs(self, queue: str) -> list[Job]:
        """Return the waiting jobs as they are stored."""
        stored = BullJobs(self._redis, self._prefix, self._name.format(queue))
        jobs = {job_id: await stored.fields(job_id) for job_id in await stored.ids()}
        return [Job(queue, fields["name"].decode(), job_id, fields["data"]) for job_id, fields in jobs.items()]


@pytest.fixture
async def harness(redis_url: str, redis: Redis, bull_prefix: str) -> AsyncIterator[BullMQHarness]:
    """BullMQ's queues on a real server."""
    harness = BullMQHarness(redis_url, redis, bull_prefix)
    yield harness
    await harness.queue.close()


class TestBullMQQueue(QueueContract):
    """The contract of `JobQueue`, on each kind of server."""

    @pytest.fixture
    async def harness(self, redis_url: str, redis: Redis, bull_prefix: str) -> AsyncIterator[QueueHarness]:
        """BullMQ's queues on a real server."""
        harness = BullMQHarness(redis_url, redis, bull_prefix)
        yield harness
        await harness.queue.close()


@pytest.mark.xdist_group("cluster")
class TestBullMQQueueOnCluster(QueueContract):
    """The contract of `JobQueue`, on a cluster of each kind of server."""

    @pytest.fixture
    async def harness(self, cluster_url: str, bull_prefix: str) -> AsyncIterator[QueueHarness]:
        """BullMQ's queues on a cluster of one node."""
        topology = RedisTopology.of(cluster_url)
        async with Redis.from_url(topology.url_of(topology.seeds[0])) as redis:
            harness = BullMQHarness(cluster_url, redis, bull_prefix, name="{{{}}}")
            yield harness
            await harness.queue.close()


async def test_jobs_of_all_kinds_for_several_queues(cluster_url: str, bull_prefix: str) -> None:
    """One call adds jobs of every kind to several queues of a cluster, each kind in its order."""
    topology = RedisTopology.of(cluster_url)
    kinds = [JobSettings(), JobSettings(delay=timedelta(minutes=1)), JobSettings(priority=1)]
    jobs = [
        replace(job(f"event-{number}"), queue=name, settings=kinds[number % 3])
        for number in range(6)
        for name in ("one", "two")
    ]
    queue = BullMQQueue.from_url(cluster_url, bull_prefix=bull_prefix)
    await queue.add(jobs)
    await queue.close()
    async with Redis.from_url(topology.url_of(topology.seeds[0])) as redis:
        for name in ("{one}", "{two}"):
            stored = BullJobs(redis, bull_prefix, name)
            found = [await stored.ids(state) for state in ("wait", "delayed", "prioritized")]
            assert found == [["event-0", "event-3"], ["event-1", "event-4"], ["event-2", "event-5"]]


async def test_options_are_what_bullmq_reads(redis_url: str, bull_prefix: str, valuation: BullJobs) -> None:
    """The settings of a job are stored in BullMQ's names and units."""
    settings = JobSettings(
        attempts=5,
        backoff=timedelta(seconds=2),
        max_backoff=timedelta(minutes=2),
        keep_completed=timedelta(minutes=1),
        keep_failed=timedelta(hours=24),
    )
    queue = BullMQQueue.from_url(redis_url, bull_prefix=bull_prefix)
    await queue.add([replace(job("event-1"), settings=settings)])
    await queue.close()
    assert json.loads((await valuation.fields("event-1"))["opts"]) == {
        "attempts": 5,
        "delay": 0,
        "backoff": {"type": "exponential", "delay": 2000, "jitter": 0.25, "maxDelay": 120_000},
        "jobId": "event-1",
        "removeOnComplete": {"age": 60, "count": 10_000},
        "removeOnFail": {"age": 86_400},
        "stackTraceLimit": 5,
    }


async def test_script_that_the_server_forgot_is_sent_again(harness: QueueHarness, redis: Redis) -> None:
    """After SCRIPT FLUSH or a restart of the server, adding works as before."""
    await harness.queue.add([job("event-1")])
    await redis.script_flush()
    await harness.queue.add([job("event-2")])
    assert [job.id for job in await harness.jobs("valuation")] == ["event-1", "event-2"]


async def test_negative_reply_of_the_script_is_an_error(harness: BullMQHarness) -> None:
    """BullMQ rejects with negative numbers, which must not be taken for success."""
    harness.queue._scripts[STANDARD] = Script.of("return -5")
    with pytest.raises(ServerRefusedError, match="did not add job event-1 to the queue valuation: it returned -5"):
        await harness.queue.add([job("event-1")])


async def test_error_of_the_script_does_not_quote_the_data(
    harness: QueueHarness, redis: Redis, bull_prefix: str
) -> None:
    """A key of the wrong type is a `ServerRefusedError` that quotes nothing of the payload."""
    await redis.set(f"{bull_prefix}:valuation:wait", "text")
    with pytest.raises(ServerRefusedError, match="WRONGTYPE") as raised:
        await harness.queue.add([job("event-1")])
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
async def test_rejected_job_can_be_added_later(
    harness: BullMQHarness, redis: Redis, valuation: BullJobs, settings: JobSettings, state: str, broken: str
) -> None:
    """What BullMQ wrote before it failed is removed, so that the next try adds the job, and adds it once."""
    added = replace(job("event-1"), settings=settings)
    await redis.set(f"{valuation.key}:{broken}", "text")
    with pytest.raises(ServerRefusedError, match="WRONGTYPE"):
        await harness.queue.add([added])
    await redis.delete(f"{valuation.key}:{broken}")
    await harness.queue.add([added])
    assert await valuation.ids(state) == ["event-1"]


async def test_known_job_outlives_a_rejection(harness: BullMQHarness, redis: Redis, valuation: BullJobs) -> None:
    """A repeat that is rejected does not remove the job that was there before."""
    await harness.queue.add([job("event-1")])
    await redis.set(f"{valuation.key}:events", "text")
    with pytest.raises(ServerRefusedError, match="WRONGTYPE"):
        await harness.queue.add([job("event-1")])
    assert [job.id for job in await harness.jobs("valuation")] == ["event-1"]


async def test_server_that_is_not_there_is_unavailable() -> None:
    """A server that cannot be reached is a `ServerUnavailableError`."""
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
    harness: BullMQHarness, valuation: BullJobs, settings: JobSettings, state: str
) -> None:
    """A job with a delay or a priority is added by BullMQ's script for such jobs."""
    await harness.queue.add([replace(job("event-1"), settings=settings), job("event-2")])
    assert await valuation.ids(state) == ["event-1"]
    assert await valuation.ids() == ["event-2"]
