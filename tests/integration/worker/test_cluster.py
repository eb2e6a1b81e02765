"""The worker on a Redis Cluster: all that it does on one server, also while its queue moves to another node."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from integration.worker.bullmq.test_idle import (  # noqa: F401 - these run once more here, on a cluster
    test_jobs_that_one_worker_cannot_hold_wake_another,
    waits,
)
from integration.worker.bullmq.test_locks import test_lock_is_renewed_until_the_last_handler_has_ended  # noqa: F401
from integration.worker.bullmq.test_lost_locks import test_lost_lock_is_logged  # noqa: F401
from integration.worker.bullmq.test_what_is_written import (  # noqa: F401
    test_completed_job,
    test_failed_attempts,
    test_metrics,
    test_progress,
    test_stats,
)
from integration.worker.test_worker import (  # noqa: F401
    test_close_lets_running_handlers_finish,
    test_give_up_fails_at_once,
    test_handlers_run_side_by_side_up_to_the_concurrency,
    test_health_follows_the_life_of_the_worker,
    test_job_is_picked_up_while_idle,
    test_other_exceptions_use_up_the_attempts,
    test_retry_later_comes_back_in_the_same_attempt,
    test_returning_completes_the_job,
)
from redis.asyncio import Redis
from redis.exceptions import TryAgainError
from support.consuming import BullJobs, until
from support.working import Diary, Valuation, job_of, jobs_of, working

from domainstream.errors import ServerRefusedError
from domainstream.queue import BullMQQueue
from domainstream.redis.connection import connect_blocking
from domainstream.redis.errors import ErrorKind
from domainstream.redis.slot_client import SlotClient
from domainstream.redis.slot_map import SlotMap
from domainstream.redis.topology import RedisTopology
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import LabNode, wait_until
from domainstream.worker import ReceivedJob
from domainstream.worker.bullmq.engine import WorkerConnections
from domainstream.worker.bullmq.job import HeldJob, held_job
from domainstream.worker.bullmq.lock_renewer import LockRenewer
from domainstream.worker.outcomes import AttemptResult, Completed
from domainstream.worker.settings import WorkerSettings

LOCK = timedelta(seconds=4)

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture
def redis_url(cluster_url: str) -> str:
    """The URL of the only node of a cluster."""
    topology = RedisTopology.of(cluster_url)
    return topology.url_of(topology.seeds[0])


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of that node."""
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def queue(cluster_url: str, redis: Redis, stream_prefix: str) -> Valuation:
    """The queue `valuation` of this test, whose keys lie in one slot."""
    prefix = f"{stream_prefix}bull"
    return Valuation(cluster_url, prefix, BullJobs(redis, prefix, "{valuation}"))


async def test_prefix_with_a_hash_tag_wins(cluster_url: str, redis: Redis, stream_prefix: str) -> None:
    """With a hash tag in the prefix, queues keep their names, and all of them lie in one slot."""
    prefix, diary = f"{{{stream_prefix}bull}}", Diary()
    queue = Valuation(cluster_url, prefix, BullJobs(redis, prefix, "valuation"))
    await queue.add(job_of())
    async with working(queue.engine(diary)):
        assert await queue.ended("completed") == ["event-1"]


async def test_worker_is_listed_under_the_name_of_the_queue(queue: Valuation, redis: Redis) -> None:
    """BullMQ's tools find the worker of `{valuation}` by the name of its connections."""

    async def named() -> bool:
        return any(client["name"] == f"{queue.prefix}:e3ZhbHVhdGlvbn0=" for client in await redis.client_list())

    async with working(queue.engine(Diary())):
        assert await until(named)


async def test_control_queue_without_a_hash_tag(cluster_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the keys of a queue whose name has no hash tag lie in several slots, and the cluster rejects them."""
    monkeypatch.setattr("domainstream.queue.bullmq.queue.cluster_name", lambda _, queue: queue)
    queue = BullMQQueue.from_url(cluster_url)
    with pytest.raises(ServerRefusedError, match="don't hash to the same slot"):
        await queue.add([job_of()])
    await queue.close()


class Moving:
    """A queue of its own on a cluster, which moves from node to node."""

    def __init__(self, cluster: ClusterLab, prefix: str) -> None:
        self.cluster = cluster
        self.prefix = prefix
        self.queue = Valuation(cluster.url, prefix, BullJobs(Redis(), prefix, "{valuation}"))

    @property
    def key(self) -> str:
        """A key of the queue."""
        return f"{self.prefix}:{{valuation}}:wait"

    async def move(self, *, atomic: bool | None, pause: timedelta = timedelta(0)) -> None:
        """Move the queue to another node."""
        await asyncio.to_thread(self.move_now, atomic=atomic, pause=pause)

    def move_now(self, *, atomic: bool | None, pause: timedelta = timedelta(0)) -> None:
        """Move the queue to another node, without the event loop."""
        cluster = self.cluster
        to = next(node for node in cluster.nodes if node is not cluster.primary_of(self.key))
        cluster.move_slot(cluster.slot_of(self.key), to, atomic=atomic, pause=pause)
        wait_until(lambda: owns(cluster, to, self.key), "the move of a slot")

    async def count(self, state: str) -> int:
        """Return how many jobs are in a state, at the node that has the queue."""
        async with Redis.from_url(self.cluster.primary_of(self.key).url) as redis:
            return len(await BullJobs(redis, self.prefix, "{valuation}").ids(state))


def owns(cluster: ClusterLab, node: LabNode, key: str) -> bool:
    """Return whether a node has a key."""
    try:
        return cluster.primary_of(key) is node
    except LookupError:
        return False


@pytest.fixture
def moving(cluster: ClusterLab, stream_prefix: str) -> Moving:
    """The queue `valuation` of this test."""
    return Moving(cluster, f"{stream_prefix}bull")


@pytest.mark.parametrize(("atomic", "jobs"), [(None, 400), (False, 15)], ids=["as the server can", "key by key"])
async def test_queue_that_moves_while_its_jobs_run(moving: Moving, *, atomic: bool | None, jobs: int) -> None:
    """While a queue moves there and back, each of its jobs is handled once, and none stays behind."""
    handled: Counter[str] = Counter()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        await asyncio.sleep(0.02)
        handled[job.id] += 1
        return Completed()

    async with working(moving.queue.engine(attempt, concurrency=20)):
        for added in range(0, 2 * jobs, jobs):
            await moving.queue.add(*jobs_of(jobs, first=added))
            await until(partial(handled.__contains__, f"event-{added}"))
            await moving.move(atomic=atomic, pause=timedelta(milliseconds=1) if atomic is False else timedelta(0))
        await until(lambda: len(handled) == 2 * jobs)
    assert set(handled.values()) == {1}
    assert await moving.count("completed") == 2 * jobs
    assert await moving.count("active") == 0


async def test_idle_worker_hears_of_jobs_after_a_move(moving: Moving) -> None:
    """A worker that waits for jobs at the node that had the queue gets those that are added at the one that has it."""
    diary = Diary()
    async with working(moving.queue.engine(diary)):
        await moving.queue.add(job_of())
        await diary.handled(1)
        await moving.move(atomic=None)
        await moving.queue.add(job_of(job_id="event-2"))
        await diary.handled(2)


async def test_scheduler_goes_on_after_a_move(moving: Moving) -> None:
    """The next job of a scheduler is added at the node that has the queue now."""
    diary = Diary()
    async with working(moving.queue.engine(diary)):
        await schedule_on(moving)
        await diary.handled(2)
        await moving.move(atomic=None)
        await diary.handled(6)


async def test_scheduler_goes_on_although_its_next_job_was_due_in_a_move(
    moving: Moving, caplog: pytest.LogCaptureFixture
) -> None:
    """The next job of a scheduler that is due while the queue moves key by key is added after the move."""
    diary = Diary()
    async with working(moving.queue.engine(BeginsAMove(moving, diary))):
        await schedule_on(moving)
        await until(lambda: "reason=TryAgainError" in caplog.text)
        await moving.move(atomic=False)
        await diary.handled(4)
    assert len(set(diary.ids)) == len(diary.ids)


async def test_control_next_job_that_is_asked_for_once(
    moving: Moving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Control: if the addition of the next job were not repeated, a scheduler would stop when its queue moves."""
    monkeypatch.setattr("domainstream.worker.bullmq.runner.kind_of", lambda _: ErrorKind.FINAL)

    async def completed() -> bool:
        return await moving.count("completed") == 1

    async with working(moving.queue.engine(BeginsAMove(moving, Diary()))):
        await schedule_on(moving)
        await until(lambda: "worker.schedule_failed" in caplog.text)
        await moving.move(atomic=False)
        await until(completed)
    assert await moving.count("delayed") == 0


class BeginsAMove:
    """An attempt that completes every job; at the first one, the queue begins to move to another node."""

    def __init__(self, moving: Moving, diary: Diary) -> None:
        self.moving = moving
        self.diary = diary

    async def __call__(self, job: ReceivedJob) -> AttemptResult:
        """Complete a job."""
        if not self.diary.ids:  # without the event loop, on which the worker adds the next job then
            begin_move(self.moving.cluster, self.moving.key)
        return await self.diary(job)


def begin_move(cluster: ClusterLab, key: str) -> tuple[LabNode, LabNode]:
    """Let the slot of a key begin to move, without any key; return where it is and where it goes."""
    slot, source = cluster.slot_of(key), cluster.primary_of(key)
    target = next(node for node in cluster.nodes if node is not source)
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.command("CLUSTER", "MYID"))
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.command("CLUSTER", "MYID"))
    return source, target


async def schedule_on(moving: Moving) -> None:
    """Let a scheduler of the package add a job every 100 ms."""
    connections = WorkerConnections(moving.cluster.url, "valuation", bull_prefix=moving.prefix, name=None)
    async with connections.package_queue() as package_queue:
        await package_queue.upsertJobScheduler("every", {"every": 100}, "tick", {"a": 1})


async def test_blocked_event_loop_costs_no_lock_when_the_queue_moves(moving: Moving) -> None:
    """The thread that renews locks follows the queue to another node while a handler blocks the event loop."""
    assert await locked_after_a_move(moving)


async def test_control_renewals_at_the_node_that_had_the_queue(moving: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: if the thread kept to the node that it knows, the lock would expire, and the job would run twice."""
    node = moving.cluster.primary_of(moving.key)

    def keep_to_it(_: WorkerConnections) -> Any:
        return connect_blocking(node.url, client_name="renewer")

    monkeypatch.setattr(WorkerConnections, "blocking_client", keep_to_it)
    assert not await locked_after_a_move(moving)


async def locked_after_a_move(moving: Moving) -> bool:
    """Move a queue while a handler blocks the event loop; return whether the lock is renewed before it expires."""
    locked: list[bool] = []

    async def attempt(job: ReceivedJob) -> AttemptResult:
        moving.move_now(atomic=None)
        lock = f"{moving.prefix}:{{valuation}}:{job.id}:lock"
        node = moving.cluster.primary_of(lock)
        left = now = node.command("PTTL", lock)
        while 0 < now <= left:
            time.sleep(0.01)  # noqa: ASYNC251 - what is tested
            left, now = now, node.command("PTTL", lock)
        locked.append(now > left)
        return Completed()

    await moving.queue.add(job_of())
    async with working(moving.queue.engine(attempt, lock=LOCK, stalled_interval=timedelta(minutes=1))):
        await until(lambda: locked)
    return locked[0]


async def test_locks_of_which_some_have_moved_are_not_lost(moving: Moving) -> None:
    """While a queue moves key by key, the renewal of its locks waits until all of them are at one node."""
    assert await lost_in_the_middle_of_a_move(moving) == []


async def test_control_locks_that_the_renewal_does_not_declare(moving: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: if the locks were no keys of the call, those that have not moved yet would be taken for lost."""
    call = LockRenewer._call

    def undeclared(renewer: LockRenewer, name: str, keys: tuple[str, ...], *given: Any) -> list[bytes]:
        return call(renewer, name, keys[:1], *given)

    monkeypatch.setattr(LockRenewer, "_call", undeclared)
    assert await lost_in_the_middle_of_a_move(moving) == ["event-1"]


async def lost_in_the_middle_of_a_move(moving: Moving) -> list[str]:
    """Renew the locks of two jobs when only that of event-0 has moved; return the jobs whose locks count as lost."""
    cluster, base = moving.cluster, f"{moving.prefix}:{{valuation}}:"
    slot, primary = cluster.slot_of(base), cluster.primary_of(base)
    held = [held_job([b"name", b"price-stay", b"data", b"{}"], b"event-%d" % number, b"token") for number in range(2)]
    for job in held:
        primary.command("SET", f"{base}{job.received.id}:lock", "token", "PX", 60_000)
    source, target = begin_move(cluster, base)
    source.command("MIGRATE", *target.address, f"{base}event-0:lock", 0, 5000)
    client = SlotClient(SlotMap(RedisTopology.of(cluster.url)), base, client_name="renewer")
    renewer = LockRenewer(client, "valuation", base, {job.received.id: job for job in held}, WorkerSettings())
    lost: list[HeldJob] = []
    with suppress(TryAgainError):
        await asyncio.to_thread(renewer._renew, lost.append)
    source.command("MIGRATE", *target.address, f"{base}event-1:lock", 0, 5000)
    for node in (target, source, *cluster.nodes):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", target.command("CLUSTER", "MYID"))
    await asyncio.to_thread(renewer._renew, lost.append)
    await renewer.stop()
    return [job.received.id for job in lost]
