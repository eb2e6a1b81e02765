"""The loops of a worker that talk to the server: one makes round trips, one waits for jobs while the queue is empty."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from domainstream.errors import ServerError
from domainstream.redis.link import REPLY_TIMEOUT, RedisLink
from domainstream.retrying import LoggedBackoff
from domainstream.telemetry import Signal, emit
from domainstream.worker.bullmq.job import handle_rejection
from domainstream.worker.bullmq.round_trip import RoundTrip, RoundTripCodec, RoundTripReply
from domainstream.worker.bullmq.runner import JobRunner
from domainstream.worker.bullmq.tracker import JobTracker

FAILED_FETCH_PAUSE: Final = 1.0
"""Seconds until jobs are fetched again after the server failed to hand one out, perhaps because that one is damaged."""

LONGEST_WAIT: Final = 5
"""Seconds after which an idle worker fetches without a marker."""


class OneShotTimer:
    """Calls a function once, at the earliest of the times it was set to; then it can be set again."""

    def __init__(self, callback: Callable[[], None]) -> None:
        """Call `callback`."""
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Call the function in `seconds`, or earlier if it was set so before."""
        loop = asyncio.get_running_loop()
        if self._handle is None or self._handle.when() > loop.time() + seconds:
            self.cancel()
            self._handle = loop.call_later(seconds, self._fire)

    def cancel(self) -> None:
        """Forget the time it was set to."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._callback()


class RoundTripLoop:
    """Makes one round trip after the other: from the tracker to the server, and from the reply to runner and tracker.

    A worker has several of these loops, each with a connection of its own.
    """

    def __init__(
        self,
        queue: str,
        link: RedisLink,
        tracker: JobTracker,
        codec: RoundTripCodec,
        runner: JobRunner,
        backoff: LoggedBackoff,
    ) -> None:
        """Call the server through `link`, which `run` closes at its end."""
        self._queue = queue
        self._link = link
        self._tracker = tracker
        self._codec = codec
        self._runner = runner
        self._backoff = backoff
        self._job_due = OneShotTimer(tracker.wake)
        self._limit_over = OneShotTimer(tracker.wake)

    async def run(self) -> None:
        """Work until the tracker has finished."""
        now = asyncio.get_running_loop().time
        try:
            while not self._tracker.finished:
                round_trip = self._tracker.next_round_trip(now())
                if round_trip is None:
                    await self._tracker.wait_for_work()
                else:
                    await self._make(round_trip)
        finally:
            self._job_due.cancel()
            self._limit_over.cancel()
            await self._link.close()

    async def _make(self, round_trip: RoundTrip) -> None:
        try:
            (raw,) = await self._link.run(self._codec.script, [self._codec.arguments(round_trip)])
        except ServerError as error:
            self._tracker.failed(round_trip)
            self._tracker.call_failed(error)
            await self._backoff.pause(error)
        except BaseException:
            self._tracker.failed(round_trip)
            raise
        else:
            self._backoff.reset()
            self._apply(round_trip, self._codec.reply(raw))

    def _apply(self, round_trip: RoundTrip, reply: RoundTripReply) -> None:
        self._tracker.done(round_trip, reply, asyncio.get_running_loop().time())
        for update, answer in zip(round_trip.updates, reply.answers, strict=True):
            if answer != 0:
                reason = handle_rejection(update, answer, self._queue)
                if reason is not None:
                    self._runner.fail(update.job, reason)
        for job in reply.jobs:
            self._runner.start(job)
        if reply.limited_for:
            # The latest word on the limit counts: an earlier wake-up would fetch nothing, and be the only one.
            self._limit_over.cancel()
            self._limit_over.set(reply.limited_for)
        if reply.due:
            self._job_due.set(max(0.0, reply.due / 1000 - time.time()))
        if reply.failure:
            emit(Signal.WORKER_FETCH_FAILED, queue=self._queue, reason=reply.failure)
            self._job_due.set(FAILED_FETCH_PAUSE)


class MarkerListener:
    """Wakes the tracker of a worker that has room for jobs and found none.

    BullMQ adds a marker to a sorted set when a job is added or becomes due; the worker that pops it must fetch.
    """

    def __init__(self, link: RedisLink, tracker: JobTracker, marker: str, backoff: LoggedBackoff) -> None:
        """Wait for the key `marker` through `link`, which `run` closes at its end."""
        self._link = link
        self._tracker = tracker
        self._marker = marker
        self._backoff = backoff

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                await self._tracker.wait_until_idle()
                await self._listen()
        finally:
            await self._link.close()

    async def _listen(self) -> None:
        try:
            wait = ("BZPOPMIN", self._marker, LONGEST_WAIT)
            popped = await self._link.ask(wait, seconds=LONGEST_WAIT + REPLY_TIMEOUT)
            self._tracker.wake()
            if popped is not None and self._tracker.free <= 0:
                # Other workers need the marker: this one has meanwhile got as many jobs as it can hold.
                _, member, score = popped
                await self._link.ask(("ZADD", self._marker, score, member), seconds=REPLY_TIMEOUT)
        except ServerError as error:
            self._tracker.call_failed(error)
            await self._backoff.pause(error)
        else:
            self._backoff.reset()
