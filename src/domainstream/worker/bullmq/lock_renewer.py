"""Renews the locks of held jobs and finds those of workers that have died.

In a thread with a connection of its own: a handler that blocks the event loop must not cost all others their locks.
(Code that holds the interpreter itself for long, as some C extensions do, still does.)
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from redis import Redis
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from domainstream.worker.bullmq.job import HeldJob
from domainstream.worker.bullmq.scripts import bullmq_script
from domainstream.worker.settings import WorkerSettings

log = logging.getLogger("domainstream.worker")

RETRY_PAUSE: Final = 0.5
"""Seconds until a renewal or a look that failed is repeated."""

STOP_TIMEOUT: Final = 1.0
"""Seconds to wait for the end of a thread that is just connecting to a server that is not there."""

_STALLED_KEYS: Final = ("stalled", "wait", "active", "stalled-check", "meta", "paused", "marker", "events", "repeat")
_pack = msgspec.msgpack.Encoder().encode


class LockRenewer:
    """Keeps the locks of one worker.

    `held` is read from the thread; only the event loop writes it.
    """

    def __init__(self, redis: Redis, key_prefix: str, held: dict[str, HeldJob], settings: WorkerSettings) -> None:
        """Work through `redis`, which is then owned; the queue's keys begin with `key_prefix`."""
        self._redis = redis
        self._prefix = key_prefix
        self._held = held
        self._lock_ms = round(settings.lock.total_seconds() * 1000)
        self._interval_ms = round(settings.stalled_interval.total_seconds() * 1000)
        self._max_stalled = settings.max_stalled
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, lost: Callable[[HeldJob], None]) -> None:
        """Begin. `lost` is called in the event loop, for each held job whose lock is not this worker's any more."""
        loop = asyncio.get_running_loop()

        def tell(job: HeldJob) -> None:
            loop.call_soon_threadsafe(lost, job)

        self._thread = threading.Thread(target=self._keep, args=(tell,), name=f"locks of {self._prefix}", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End, and close the connection. Stopping twice does nothing."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            # Ends a wait for a server that does not answer.
            self._redis.connection_pool.disconnect()
            await asyncio.to_thread(thread.join, STOP_TIMEOUT)
        self._redis.close()

    def _keep(self, tell: Callable[[HeldJob], None]) -> None:
        renewal = look = time.monotonic()
        while not self._stopping.is_set():
            if renewal <= time.monotonic():
                renewal = self._next(self._try(lambda: self._renew(tell)), self._lock_ms / 2000)
            if look <= time.monotonic():
                look = self._next(self._try(self._look), self._interval_ms / 1000)
            self._stopping.wait(max(0.0, min(renewal, look) - time.monotonic()))

    def _next(self, went_well: bool, interval: float) -> float:
        return time.monotonic() + (interval if went_well else min(RETRY_PAUSE, interval))

    def _try(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except ReadOnlyError:
            return False
        except ResponseError as error:
            # A key of the wrong type, for one: it would fail again at once.
            log.warning("locks of %s cannot be kept: %s", self._prefix, error)
        except (RedisError, OSError) as error:
            log.debug("locks of %s cannot be kept just now: %s", self._prefix, type(error).__name__)
            return False
        return True

    def _renew(self, tell: Callable[[HeldJob], None]) -> None:
        # One call, which no other thread can come between.
        jobs = list(self._held.copy().values())
        if not jobs:
            return
        tokens, ids = _pack([job.token for job in jobs]), _pack([_text(job.id) for job in jobs])
        failed = set(self._call("extendLocks", ("stalled",), self._prefix, tokens, ids, self._lock_ms))
        for job in jobs:
            if job.id in failed and not self._stopping.is_set():
                tell(job)

    def _look(self) -> None:
        now = time.time_ns() // 1_000_000
        arguments = (self._max_stalled, self._prefix, now, self._interval_ms)
        stalled = self._call("moveStalledJobsToWait", _STALLED_KEYS, *arguments)
        for job_id in stalled:
            log.warning("%s: job %s comes again: its worker renewed its lock no more", self._prefix, _text(job_id))

    def _call(self, name: str, keys: tuple[str, ...], *arguments: Any) -> list[bytes]:
        script = bullmq_script(name)
        names = [self._prefix + key for key in keys]
        try:
            reply: Any = self._redis.evalsha(script.sha, len(names), *names, *arguments)
        except NoScriptError:
            reply = self._redis.eval(script.text, len(names), *names, *arguments)
        return list(reply)


def _text(job_id: bytes) -> str:
    return job_id.decode("utf-8", "replace")
