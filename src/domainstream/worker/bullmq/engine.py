"""Works on one BullMQ queue: fetches its jobs, runs them concurrently, and reports how they end.

::

    marker listener ──wakes──▶ tracker ──round trips──▶ loops ══calls══▶ round_trip.lua on the server
                                  ▲                       │
                                  └──updates── runner ◀──jobs

The lock renewer, a thread, renews the locks of the jobs that the tracker holds. The engine does not know what handles
a job.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import uuid4

from msgspec import Struct
from redis import Redis
from redis.exceptions import ClusterDownError

from domainstream.lifecycle import Lifecycle, cancel_and_wait
from domainstream.queue.bullmq.scripts import bullmq_module, cluster_name
from domainstream.redis.cluster_link import ClusterLink
from domainstream.redis.connection import connect, connect_blocking
from domainstream.redis.errors import NoReplyError
from domainstream.redis.link import RedisLink
from domainstream.redis.slot_client import SlotClient
from domainstream.redis.slot_map import SlotMap, key_slot
from domainstream.redis.topology import RedisTopology
from domainstream.retrying import LoggedBackoff
from domainstream.telemetry import Signal, emit
from domainstream.validation import plain_name
from domainstream.worker.abandoned import AbandonedCalls, abandoned_calls
from domainstream.worker.bullmq.lock_renewer import LockRenewer
from domainstream.worker.bullmq.loops import MarkerListener, RoundTripLoop
from domainstream.worker.bullmq.places import Places
from domainstream.worker.bullmq.round_trip import RoundTripCodec
from domainstream.worker.bullmq.runner import JobRunner, RunAttempt, add_next_job
from domainstream.worker.bullmq.tracker import JobTracker
from domainstream.worker.settings import WorkerSettings

CLIENT_NAME: Final = "domainstream-worker"
SHUTDOWN_TIMEOUT: Final = 5.0
"""Seconds that a stopping worker tries to report its last outcomes to a server that does not answer."""

ABORTED_HANDLERS_LIMIT: Final = 0.5
"""Seconds that handlers have to end when the worker is aborted; `CANCELLATION_LIMIT` holds otherwise."""

ABORTED_REPORT_TIMEOUT: Final = 1.0
"""Seconds that an aborted worker tries to hand its jobs back."""


class WorkerStats(Struct, frozen=True, kw_only=True):
    """What a worker has done since it was made, and how it is doing now."""

    running: int = 0
    """Jobs whose handlers are running now."""

    completed: int = 0
    """Jobs recorded as completed."""

    delayed: int = 0
    """Attempts recorded as delayed, because the handler asked to retry later."""

    waited: int = 0
    """How often a job was put back because this build does not handle it yet."""

    failed: int = 0
    """Attempts recorded as failed, including those that are retried."""

    abandoned: int = 0
    """Calls of handlers that went on after they were cancelled; they may still run, without their jobs."""

    last_failure: str = ""
    """The name and the id of the job whose attempt failed last; empty before the first."""

    failures: int = 0
    """Round trips to the server that have failed in a row; 0 as soon as one succeeds."""

    last_error: str = ""
    """Why the last of these round trips failed; empty while there is none."""


class WorkerConnections:
    """Opens the connections of one worker, under the names that BullMQ's tools look for."""

    def __init__(self, url: str, queue: str, *, bull_prefix: str, name: str | None) -> None:
        """Connect to `url` as the worker `name` of `queue`. Raises `ConfigurationError` for an invalid URL."""
        bull_prefix, queue, name = plain_name(bull_prefix), plain_name(queue), plain_name(name)
        self._where = RedisTopology.of(url)
        self._slots = SlotMap(self._where, client_name=CLIENT_NAME) if self._where.is_cluster else None
        queue = cluster_name(bull_prefix, queue) if self._where.is_cluster else queue
        self._queue = queue
        self.bull_prefix = bull_prefix
        """The prefix of every key of BullMQ."""
        self.key_prefix = f"{bull_prefix}:{queue}:"
        """The prefix of every key of the queue."""
        encoded = b64encode(queue.encode()).decode()
        self._listed_name = f"{bull_prefix}:{encoded}" + (f":w:{name}" if name else "")

    def link(self) -> RedisLink:
        """Return a link for script calls."""
        return self._link(CLIENT_NAME)

    def listed_link(self) -> RedisLink:
        """Return the link by whose name BullMQ's tools list this worker; there must be one per worker."""
        return self._link(self._listed_name)

    def blocking_client(self) -> Redis | SlotClient:
        """Return a client for the thread that renews locks."""
        if self._slots is not None:
            return SlotClient(self._slots, self.key_prefix, client_name=CLIENT_NAME)
        return connect_blocking(self._where, client_name=CLIENT_NAME)

    @asynccontextmanager
    async def package_queue(self) -> AsyncIterator[Any]:
        """Open the queue of the package `bullmq`, which expects decoded replies; raises what it raises.

        On a cluster, it calls the node that has the queue now, and raises `NoReplyError` if nobody knows that one.
        """
        where = self._where
        if self._slots is not None:
            await self._slots.refresh()
            owner = self._slots.owner(key_slot(self.key_prefix))
            if owner is None:
                raise NoReplyError(ClusterDownError(f"CLUSTERDOWN no node has {self.key_prefix}"), sent=False)
            where = RedisTopology.of(self._where.url_of(owner))
        async with connect(where, decode_responses=True, client_name=CLIENT_NAME) as client:
            yield bullmq_module().Queue(self._queue, {"connection": client, "prefix": self.bull_prefix})

    def _link(self, client_name: str) -> RedisLink:
        if self._slots is not None:
            return ClusterLink(self._slots, client_name=client_name)
        return RedisLink.from_url(self._where, client_name=client_name)


class BullMQEngine:
    """Works on one queue. For one event loop; `run` may be called once."""

    def __init__(
        self,
        connections: WorkerConnections,
        queue: str,
        run_attempt: RunAttempt,
        *,
        concurrency: int,
        grace: timedelta,
        settings: WorkerSettings,
        places: Places | None = None,
    ) -> None:
        """Run up to `concurrency` jobs at a time with `run_attempt`; a stop gives them `grace` to finish.

        `places` are shared with the engines of the queue's other partitions.
        Raises `MissingExtraError` without the package `bullmq`.
        """
        prefix = connections.key_prefix
        self._queue = queue
        self._grace = grace.total_seconds()
        self._abandoned = AbandonedCalls()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tracker = JobTracker(uuid4().hex, concurrency, places)
        add_next = partial(add_next_job, queue, connections.package_queue)
        self._runner = JobRunner(queue, run_attempt, self._tracker, add_next, settings.metrics, connections.bull_prefix)
        codec = RoundTripCodec(prefix, settings)
        self._loops = [
            RoundTripLoop(queue, connections.link(), self._tracker, codec, self._runner, self._backoff())
            for _ in range(self._tracker.in_flight)
        ]
        self._listener = MarkerListener(connections.listed_link(), self._tracker, f"{prefix}marker", self._backoff())
        self._renewer = LockRenewer(connections.blocking_client(), queue, prefix, self._tracker.held, settings)

    def stats(self) -> WorkerStats:
        """Return what the engine has done so far, and how it is doing now."""
        runner, tracker = self._runner, self._tracker
        return WorkerStats(
            running=runner.running,
            completed=runner.completed,
            delayed=runner.delayed,
            waited=runner.waited,
            failed=runner.failed,
            abandoned=self._abandoned.count,
            last_failure=runner.last_failure,
            failures=tracker.failures,
            last_error=tracker.last_error,
        )

    @property
    def failed_at(self) -> float:
        """When an attempt failed last, on the monotonic clock; 0 before the first."""
        return self._runner.failed_at

    def problem(self) -> str:
        """Say why the engine cannot do its work now; empty when it can."""
        if self._tracker.failures:
            return f"{self._tracker.failures} calls in a row to the server failed: {self._tracker.last_error}"
        return self._renewer.problem

    def update_progress(self, job_id: str, value: Any) -> bool:
        """Report to BullMQ how far a running job is, with the next round trip; return whether it is running here.

        `value` is a number or an object.
        """
        return self._runner.update_progress(job_id, value)

    async def run(self, lifecycle: Lifecycle) -> None:
        """Work until `lifecycle` stops; then finish the jobs that have started. A cancellation cuts them short.

        Either way jobs that did not finish are handed back, if the server answers.
        """
        abandoned_calls.set(self._abandoned)  # for the tasks that are started from here on
        self._renewer.start(lifecycle, self._runner.lock_lost)
        listener = lifecycle.start(self._listener.run(), name="marker listener")
        self._tasks = {lifecycle.start(loop.run(), name="round trip loop") for loop in self._loops}
        try:
            await lifecycle.stopping.wait()
            await cancel_and_wait(listener)
            await self._finish(self._grace, None, SHUTDOWN_TIMEOUT)
        except asyncio.CancelledError:
            lifecycle.stop()
            await self._finish(0, ABORTED_HANDLERS_LIMIT, ABORTED_REPORT_TIMEOUT)
            raise
        finally:
            lifecycle.stop()
            await cancel_and_wait(listener, *self._tasks)
            await self._renewer.stop()

    async def _finish(self, grace: float, limit: float | None, report_timeout: float) -> None:
        """End the attempts, and report for `report_timeout` seconds at most what became of them."""
        self._tracker.close()
        if all(task.done() or task.cancelling() for task in self._tasks):
            # `asyncio.run` cancels every task of the process, these too, before the jobs are handed back.
            self._tasks.add(asyncio.create_task(self._loops[0].run()))
        await self._runner.finish(grace, limit)
        await asyncio.wait(self._tasks, timeout=report_timeout)
        if not self._tracker.finished:
            ids = sorted(job.received.id for job in self._tracker.held.values())
            emit(Signal.WORKER_OUTCOMES_UNREPORTED, queue=self._queue, jobs=ids)

    def _backoff(self) -> LoggedBackoff:
        def retried(pause: float, error: Exception) -> None:
            emit(Signal.WORKER_RETRIED, queue=self._queue, pause_s=round(pause, 2), reason=error)

        return LoggedBackoff(retried)
