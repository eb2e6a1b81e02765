"""Commands take a queue with partitions by its name, and mean all of its BullMQ queues."""

from zlib import crc32

import pytest
from integration.cli.conftest import Type, records
from redis.asyncio import Redis
from support.consuming import EVALUATED, BullJobs, OptimizationEvaluated, Streams, evaluated, running, until
from support.working import job_of

from domainstream.errors import ServerUnavailableError
from domainstream.queue import BullMQQueue, Job, JobSettings
from domainstream.queue.bullmq.partitions import existing_queues
from domainstream.queue.partitions import queues_of
from domainstream.redis.nodes import RedisNodes
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.worker import EventConsumer, EventContext, EventWorker

QUEUES = queues_of("billing", 4)
ONE_ATTEMPT = JobSettings(attempts=1)


def job_in(queue: str, job_id: str) -> Job:
    """Return a job for a partition that is tried once."""
    job = job_of(evaluated(), job_id=job_id, settings=ONE_ATTEMPT)
    return Job(queue, "bill", job.id, job.data, job.settings)


def queue_of(event: OptimizationEvaluated) -> str:
    """Return the partition of an event."""
    return QUEUES[crc32(event.aggregate_id.encode()) % len(QUEUES)]


async def add(url: str, bull: str, *jobs: Job) -> None:
    """Add jobs."""
    queue = BullMQQueue.from_url(url, bull_prefix=bull)
    await queue.add(jobs)
    await queue.close()


@pytest.fixture
async def failed(redis_url: str, redis: Redis, bull: str) -> list[str]:
    """A failed job in the partitions 0, 1 and 3 of four; their ids."""
    ids = [f"event-{number}" for number in (0, 1, 3)]
    consumer = EventConsumer("billing", partitions=4)

    @consumer.on(OptimizationEvaluated)
    async def bill(event: OptimizationEvaluated, context: EventContext) -> None:
        raise KeyError("no tariff")

    await add(redis_url, bull, *(job_in(QUEUES[int(job_id[-1])], job_id) for job_id in ids))
    worker = EventWorker.from_url(redis_url, consumer, bull_prefix=bull)
    async with running(worker):
        await until(lambda: worker.stats.failed == 3)
        await until(lambda: BullJobs(redis, bull, QUEUES[3]).ids("failed"))
    return ids


async def test_queues_shows_each_partition(typed: Type, bull: str, failed: list[str]) -> None:
    """The name of the queue lists its partitions; the name of a partition shows that one."""
    rows = records(await typed("queues", "billing", "--json", "--bull-prefix", bull))
    assert {row["queue"]: row["failed"] for row in rows if row["failed"]} == {QUEUES[n]: 1 for n in (0, 1, 3)}
    (row,) = records(await typed("queues", "billing-p3", "--json", "--bull-prefix", bull))
    assert row["queue"] == "billing-p3"


async def test_queue_of_before_is_listed_too(typed: Type, redis_url: str, bull: str, failed: list[str]) -> None:
    """A queue that was given partitions later may still have jobs under its own name."""
    await add(redis_url, bull, job_in("billing", "event-9"))
    rows = records(await typed("queues", "billing", "--json", "--bull-prefix", bull))
    assert (rows[0]["queue"], rows[0]["waiting"]) == ("billing", 1)
    assert len(rows) > 3


async def test_unknown_queue_is_compared_with_the_names_of_queues(typed: Type, bull: str, failed: list[str]) -> None:
    """A name that does not exist is answered with the queue that is like it, not with one of its partitions."""
    result = await typed("queues", "biling", "--bull-prefix", bull)
    assert result.exit_code == 4
    assert "Did you mean billing?" in result.stderr


async def test_jobs_of_all_partitions_are_listed(typed: Type, bull: str, failed: list[str]) -> None:
    """Failures of all partitions are one cause."""
    (group,) = records(await typed("jobs", "ls", "billing", "--json", "--bull-prefix", bull))
    assert (group["jobs"], group["error"]) == (3, "KeyError")
    each = records(await typed("jobs", "ls", "billing", "--each", "--json", "--bull-prefix", bull))
    assert sorted((job["id"], job["queue"]) for job in each) == [(f"event-{n}", QUEUES[n]) for n in (0, 1, 3)]


async def test_job_is_found_in_its_partition(typed: Type, bull: str, failed: list[str]) -> None:
    """A job is shown by the queue's name and its id; the command that retries it names the partition."""
    result = await typed("jobs", "show", "billing", failed[1], "--bull-prefix", bull)
    assert f"domainstream jobs retry billing-p1 {failed[1]}" in result.stdout


async def test_jobs_of_all_partitions_are_retried(typed: Type, bull: str, redis: Redis, failed: list[str]) -> None:
    """Jobs are retried by their ids or all at once, each in its partition."""
    words = ["--yes", "--json", "--bull-prefix", bull]
    (named,) = records(await typed("jobs", "retry", "billing", failed[0], failed[2], *words))
    assert (named["queue"], named["chosen"], named["changed"]) == ("billing", 2, 2)
    (rest,) = records(await typed("jobs", "retry", "billing", "--all", *words))
    assert (rest["chosen"], rest["changed"]) == (1, 1)
    assert [await BullJobs(redis, bull, queue).ids() for queue in QUEUES] == [["event-0"], ["event-1"], [], ["event-3"]]


async def test_doctor_reports_a_queue_once(typed: Type, bull: str, failed: list[str]) -> None:
    """The failed jobs of all partitions are one finding, whose command shows all of them."""
    found = records(await typed("doctor", "--json", "--bull-prefix", bull), exit_code=1)
    (finding,) = [one for one in found if one["check"] == "failed jobs"]
    assert finding["words"].startswith("billing has 3 failed jobs, the first failed")
    assert finding["mend"].startswith("domainstream jobs ls billing --bull-prefix")


async def test_trace_names_the_partition(typed: Type, bull: str, failed: list[str], redis: Redis) -> None:
    """A trace shows the partition that a job is in."""
    data = (await BullJobs(redis, bull, QUEUES[1]).fields(failed[1]))["data"].decode()
    event_id = data.partition('"id":"')[2].partition('"')[0]
    result = await typed("trace", event_id, "--bull-prefix", bull)
    assert "queue billing-p1: bill" in result.stdout
    assert f"domainstream jobs show billing-p1 {failed[1]}" in result.stderr


async def test_replay_adds_to_the_partition_of_the_key(typed: Type, streams: Streams, redis: Redis, bull: str) -> None:
    """Replayed events go where a subscriber sends them, and those whose jobs are there are skipped."""
    events = [evaluated(aggregate_id=f"opt-{number}") for number in range(20)]
    for event in events:
        await streams.add(event)
    words = ["replay", EVALUATED, "--since", "1h", "--to", "billing", "--job", "bill", "--partitions", "4"]
    words += ["--yes", "--json", "--bull-prefix", bull]
    assert records(await typed(*words))[0]["added"] == 20
    assert records(await typed(*words))[0]["known"] == 20
    ids = [await BullJobs(redis, bull, queue).ids() for queue in QUEUES]
    assert ids == [[f"event-{event.id}" for event in events if queue_of(event) == queue] for queue in QUEUES]


async def test_replay_needs_the_number(typed: Type, streams: Streams, bull: str, failed: list[str]) -> None:
    """Without the number of partitions, jobs would go where no worker is; the command asks for it."""
    await streams.add(evaluated())
    result = await typed(
        "replay", EVALUATED, "--since", "1h", "--to", "billing", "--job", "bill", "--yes", "--bull-prefix", bull
    )
    assert result.exit_code == 2
    assert "billing has partitions, such as billing-p3; add the number" in result.stderr


async def test_replay_retries_failed_jobs_in_their_partitions(
    typed: Type, streams: Streams, redis_url: str, redis: Redis, bull: str
) -> None:
    """`--failed` finds the jobs of the events in the partitions of their keys."""
    consumer = EventConsumer("billing", partitions=4)

    @consumer.on(OptimizationEvaluated)
    async def bill(event: OptimizationEvaluated, context: EventContext) -> None:
        raise KeyError("no tariff")

    events = [evaluated(aggregate_id=f"opt-{number}") for number in range(8)]
    for event in events:
        await streams.add(event)
    jobs = [Job(queue_of(event), "bill", f"event-{event.id}", job_of(event).data, ONE_ATTEMPT) for event in events]
    await add(redis_url, bull, *jobs)
    worker = EventWorker.from_url(redis_url, consumer, bull_prefix=bull)
    async with running(worker):
        await until(lambda: worker.stats.failed == 8)
    words = ["replay", EVALUATED, "--failed", "--to", "billing", "--job", "bill", "--partitions", "4"]
    assert records(await typed(*words, "--yes", "--json", "--bull-prefix", bull))[0]["retried"] == 8


@pytest.mark.xdist_group("cluster")
async def test_partitions_are_found_on_all_nodes(cluster: ClusterLab, stream_prefix: str) -> None:
    """On a cluster the partitions are found on every node, by the queue's name or by BullMQ's."""
    bull = f"{stream_prefix}bull"
    await add(cluster.url, bull, *(job_in(queue, "event-1") for queue in QUEUES), job_in("valuation", "event-1"))
    async with RedisNodes.open(cluster.url) as nodes:
        for name in ("billing", "{billing}"):
            assert await existing_queues(nodes, name, bull_prefix=bull) == [*QUEUES]
        assert await existing_queues(nodes, "valuation", bull_prefix=bull) == ["valuation"]
        assert await existing_queues(nodes, "unknown", bull_prefix=bull) == []


@pytest.mark.xdist_group("cluster")
async def test_partitions_on_a_dead_node_are_not_forgotten(cluster: ClusterLab, stream_prefix: str) -> None:
    """While a node is down, a queue with partitions is not shown without those that lie there."""
    bull = f"{stream_prefix}bull"
    await add(cluster.url, bull, *(job_in(queue, "event-1") for queue in QUEUES), job_in("valuation", "event-1"))
    dead = cluster.primary_of(f"{bull}:{{{QUEUES[0]}}}:meta")
    async with RedisNodes.open(cluster.url) as nodes:
        dead.kill()
        try:
            with pytest.raises(ServerUnavailableError):
                await existing_queues(nodes, "billing", bull_prefix=bull)
        finally:
            dead.start()
            cluster.wait_ok()
