"""When the primary of a queue on a cluster is killed, the jobs that ran and those that waited all end."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs, until
from support.working import Valuation, jobs_of, working

from domainstream.testing import ServerBinary
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import LabNode, wait_until
from domainstream.worker import ReceivedJob
from domainstream.worker.outcomes import AttemptResult, Completed

RUNNING, WAITING = 50, 50
PREFIX = "bull"
KEY = f"{PREFIX}:{{valuation}}:wait"
PATIENCE = 90.0
"""Seconds until a test gives up: the failover, and the search for jobs whose locks were lost with the primary."""

pytestmark = [pytest.mark.every_server, pytest.mark.xdist_group("cluster")]


@pytest.fixture
def cluster(binary: ServerBinary) -> Iterator[ClusterLab]:
    """Three primaries with a replica each."""
    with ClusterLab(3, 1, binary=binary.path) as cluster:
        yield cluster


@pytest.fixture
def queue(cluster: ClusterLab) -> Valuation:
    """The queue `valuation`."""
    return Valuation(cluster.url, PREFIX, BullJobs(Redis(), PREFIX, "{valuation}"))


async def completed(cluster: ClusterLab) -> set[str]:
    """Return the completed jobs."""
    async with Redis.from_url(cluster.primary_of(KEY).url) as redis:
        return set(await BullJobs(redis, PREFIX, "{valuation}").ids("completed"))


def replaced(cluster: ClusterLab, node: LabNode) -> bool:
    """Return whether another node has the queue."""
    try:
        return cluster.primary_of(KEY) is not node
    except LookupError:
        return False


def has_copied(cluster: ClusterLab, node: LabNode) -> bool:
    """Return whether the replica of a node has all that the node has."""
    state, copy = node.info("replication"), cluster.replica_of(node).info("replication")
    return bool(copy["master_link_status"] == "up" and copy["slave_repl_offset"] >= state["master_repl_offset"])


async def test_every_job_ends_when_the_primary_is_killed(cluster: ClusterLab, queue: Valuation) -> None:
    """Jobs that run when the primary dies are completed at its replica, and so are those that waited; none is lost."""
    started: Counter[str] = Counter()
    going_on = asyncio.Event()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        started[job.id] += 1
        await going_on.wait()
        return Completed()

    jobs = jobs_of(RUNNING + WAITING)
    primary = cluster.primary_of(KEY)
    async with working(queue.engine(attempt, concurrency=RUNNING, lock=timedelta(seconds=20))):
        await queue.add(*jobs)
        await until(lambda: len(started) == RUNNING)
        await asyncio.to_thread(wait_until, lambda: has_copied(cluster, primary), "a replica that has all")
        primary.kill()
        going_on.set()
        await asyncio.to_thread(wait_until, lambda: replaced(cluster, primary), "the failover")

        async def all_are_completed() -> bool:
            return await completed(cluster) == {job.id for job in jobs}

        await until(all_are_completed, patience=PATIENCE)
    assert set(started) == {job.id for job in jobs}
    print(f"{sum(started.values()) - len(jobs)} of {len(jobs)} jobs ran twice")  # noqa: T201 - for the record


async def test_idle_worker_hears_of_jobs_after_a_planned_failover(cluster: ClusterLab, queue: Valuation) -> None:
    """A worker that waits at a primary which becomes a replica gets the jobs that are added to the new primary."""
    handled: list[str] = []

    async def attempt(job: ReceivedJob) -> AttemptResult:
        handled.append(job.id)
        return Completed()

    async with working(queue.engine(attempt)):
        await queue.add(*jobs_of(1))
        await until(lambda: handled == ["event-0"])
        await asyncio.to_thread(cluster.fail_over, KEY)
        await queue.add(*jobs_of(1, first=1))
        await until(lambda: handled == ["event-0", "event-1"])
