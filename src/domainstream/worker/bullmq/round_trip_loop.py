"""Does one turn after the other."""

import asyncio
import time

from domainstream.errors import ServerError
from domainstream.redis.link import RedisLink
from domainstream.worker.bullmq.one_shot_timer import OneShotTimer
from domainstream.worker.bullmq.round_trip import RoundTrip, RoundTripCodec, RoundTripReply
from domainstream.worker.bullmq.runner import JobRunner
from domainstream.worker.bullmq.tracker import JobTracker
from domainstream.worker.patience import LoggedBackoff

_AFTER_FAILURE = 1.0
"""Seconds until jobs are asked for again after the server could not give one, which may be the fault of that one."""


class RoundTripLoop:
    """Takes turns from the ledger to the server, and what comes back to the running jobs."""

    def __init__(
        self, link: RedisLink, tracker: JobTracker, calls: RoundTripCodec, jobs: JobRunner, backoff: LoggedBackoff
    ) -> None:
        """Work through `link`, which is then owned."""
        self._link = link
        self._tracker = tracker
        self._calls = calls
        self._jobs = jobs
        self._backoff = backoff
        self._due = OneShotTimer(tracker.wake)
        self._limit = OneShotTimer(tracker.wake)

    async def run(self) -> None:
        """Work until the ledger is over."""
        now = asyncio.get_running_loop().time
        try:
            while not self._tracker.over:
                self._tracker.changed.clear()
                turn = self._tracker.next_turn(now())
                if turn is None:
                    await self._tracker.changed.wait()
                else:
                    await self._do(turn)
            self._tracker.changed.set()  # others may be waiting
        finally:
            self._due.cancel()
            self._limit.cancel()
            await self._link.close()

    async def _do(self, turn: RoundTrip) -> None:
        try:
            (raw,) = await self._link.run(self._calls.script, [self._calls.arguments(turn)])
        except ServerError as error:
            self._tracker.failed(turn)
            await self._backoff.pause(error)
        except BaseException:
            self._tracker.failed(turn)
            raise
        else:
            self._backoff.reset()
            self._apply(turn, self._calls.reply(raw))

    def _apply(self, turn: RoundTrip, reply: RoundTripReply) -> None:
        self._tracker.done(turn, reply, asyncio.get_running_loop().time())
        for update, answer in zip(turn.updates, reply.answers, strict=True):
            if answer != 0:
                self._jobs.refused(update, answer)
        for job in reply.jobs:
            self._jobs.begin(job)
        self._set_alarms(reply)

    def _set_alarms(self, reply: RoundTripReply) -> None:
        if reply.limited_for:
            self._limit.cancel()  # what was said before is out of date
            self._limit.set(reply.limited_for)
        if reply.due:
            self._due.set(max(0.0, reply.due / 1000 - time.time()))
        if reply.failure:
            self._jobs.not_taken(reply.failure)
            self._due.set(_AFTER_FAILURE)
