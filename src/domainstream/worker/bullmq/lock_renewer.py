"""Renews the locks of held jobs, and moves jobs whose workers died back to wait.

It does so in a thread with a connection of its own: a handler that blocks the event loop must not cost the other jobs
their locks. (Code that holds the interpreter lock for long, as some C extensions do, still does.)

A renewal races with the end of a job, which travels over another connection: once the server has applied the end, the
renewal finds nothing to renew, although the lock was not lost. This cannot raise a false alarm. The server can only
apply an end that the event loop has passed to the tracker, so by then `HeldJob.ended` is set; the answer to the renewal
comes later, and the event loop, which decides about the alarm, sees it. A lock that was lost before the end was applied
is not overlooked either: then BullMQ rejects the end, and that is reported.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
from redis import Redis
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from domainstream.lifecycle import Lifecycle
from domainstream.redis.errors import ErrorKind, kind_of
from domainstream.redis.slot_client import SlotClient
from domainstream.telemetry import Signal, emit
from domainstream.worker.bullmq.job import HeldJob
from domainstream.worker.bullmq.scripts import guardian_script
from domainstream.worker.settings import WorkerSettings

RETRY_PAUSE: Final = 0.5
"""Seconds until a renewal or a search for stalled jobs is repeated after the server did not answer."""

STOP_TIMEOUT: Final = 1.0
"""Seconds to wait for the thread at the end; it may be connecting to a server that does not answer."""

_STALLED_KEYS: Final = ("stalled", "wait", "active", "stalled-check", "meta", "paused", "marker", "events", "repeat")
_pack = msgspec.msgpack.Encoder().encode


class LockRenewer:
    """Renews the locks of one worker.

    The thread reads `held`, which only the event loop changes.
    """

    def __init__(
        self, redis: Redis | SlotClient, queue: str, key_prefix: str, held: dict[str, HeldJob], settings: WorkerSettings
    ) -> None:
        """Call the server through `redis`, which `stop` closes; the keys of `queue` begin with `key_prefix`."""
        self._redis = redis
        self._queue = queue
        self._prefix = key_prefix
        self._held = held
        self._lock_ms = round(settings.lock.total_seconds() * 1000)
        self._interval_ms = round(settings.stalled_interval.total_seconds() * 1000)
        self._max_stalled = settings.max_stalled
        self._renewed_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, lifecycle: Lifecycle, on_lost: Callable[[HeldJob], None]) -> None:
        """Start the thread, which `lifecycle` watches.

        The event loop calls `on_lost` for each held job whose lock this worker has lost.
        """
        loop = asyncio.get_running_loop()

        def report_lost(job: HeldJob) -> None:
            loop.call_soon_threadsafe(on_lost, job)

        self._thread = lifecycle.start_thread(partial(self._run, report_lost), name="lock renewer")

    @property
    def problem(self) -> str:
        """Say since when locks could not be renewed, once they have expired; empty while all is well."""
        overdue = time.monotonic() - self._renewed_at
        if not self._held or overdue < self._lock_ms / 1000:
            return ""
        return f"locks were last renewed {overdue:.1f} s ago: running jobs may run twice"

    async def stop(self) -> None:
        """Stop the thread and close the connection. Stopping twice does nothing."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._redis.close()  # ends a wait for a server that does not answer
            await asyncio.to_thread(thread.join, STOP_TIMEOUT)
        self._redis.close()

    def _run(self, report_lost: Callable[[HeldJob], None]) -> None:
        try:
            self._renew_and_recover(report_lost)
        except Exception as error:
            if not self._stopping.is_set():
                raise
            # `stop` took the connection away from a call.
            emit(Signal.WORKER_LOCKS_DELAYED, queue=self._queue, reason=error)

    def _renew_and_recover(self, report_lost: Callable[[HeldJob], None]) -> None:
        renew = partial(self._renew, report_lost)
        next_renewal = next_search = time.monotonic()
        while not self._stopping.is_set():
            if next_renewal <= time.monotonic():
                next_renewal = time.monotonic() + self._pause_after(renew, self._lock_ms / 2000)
            if next_search <= time.monotonic():
                next_search = time.monotonic() + self._pause_after(self._recover_stalled, self._interval_ms / 1000)
            self._stopping.wait(max(0.0, min(next_renewal, next_search) - time.monotonic()))

    def _pause_after(self, task: Callable[[], None], interval: float) -> float:
        """Run `task`; return the seconds until it runs again."""
        soon = min(RETRY_PAUSE, interval)
        try:
            task()
        except ReadOnlyError:
            return soon
        except (RedisError, OSError) as error:
            if kind_of(error) is ErrorKind.TRANSIENT:
                emit(Signal.WORKER_LOCKS_DELAYED, queue=self._queue, reason=error)
                return soon
            # A key of the wrong type, for example: repeated at once, it would fail in the same way.
            emit(Signal.WORKER_LOCKS_FAILED, queue=self._queue, reason=error)
        return interval

    def _renew(self, report_lost: Callable[[HeldJob], None]) -> None:
        # `copy` is one call that the event loop's thread cannot interrupt.
        held = list(self._held.copy().values())
        if not held:
            self._renewed_at = time.monotonic()
            return
        # The answer names jobs by id. A job that is held twice has lost its older lock, or it could not be held again.
        newest = {job.id: job for job in held}
        jobs = list(newest.values())
        tokens, ids = _pack([job.token for job in jobs]), _pack([_text(job.id) for job in jobs])
        # A cluster that moves the queue to another node must not take a lock that has moved for one that is lost.
        keys = ("stalled", *(f"{_text(job.id)}:lock" for job in jobs))
        failed = set(self._call("extendLocks", keys, self._prefix, tokens, ids, self._lock_ms))
        self._renewed_at = time.monotonic()
        for job in held:
            if (job.id in failed or newest[job.id] is not job) and not self._stopping.is_set():
                report_lost(job)

    def _recover_stalled(self) -> None:
        now = time.time_ns() // 1_000_000
        arguments = (self._max_stalled, self._prefix, now, self._interval_ms)
        for job_id in self._call("moveStalledJobsToWait", _STALLED_KEYS, *arguments):
            emit(Signal.WORKER_JOB_STALLED, queue=self._queue, job=_text(job_id))

    def _call(self, name: str, keys: tuple[str, ...], *arguments: Any) -> list[bytes]:
        script = guardian_script(name)
        names = [self._prefix + key for key in keys]
        try:
            reply: Any = self._redis.evalsha(script.sha, len(names), *names, *arguments)
        except NoScriptError:
            reply = self._redis.eval(script.text, len(names), *names, *arguments)
        return list(reply)


def _text(job_id: bytes) -> str:
    return job_id.decode("utf-8", "replace")
