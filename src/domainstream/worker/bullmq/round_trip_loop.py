"""Does one turn after the other. Used by `bullmq_engine`, which lets some work side by side."""

import asyncio
import time

from domainstream.errors import ServerError
from domainstream.redis.link import RedisLink
from domainstream.worker.bullmq.one_shot_timer import Alarm
from domainstream.worker.bullmq.round_trip import Turn, TurnCalls, TurnReply
from domainstream.worker.bullmq.runner import RunningJobs
from domainstream.worker.bullmq.tracker import Ledger
from domainstream.worker.patience import Patience

_AFTER_FAILURE = 1.0
"""Seconds until jobs are asked for again after the server could not give one, which may be the fault of that one."""


class Pump:
    """Takes turns from the ledger to the server, and what comes back to the running jobs."""

    def __init__(
        self, link: RedisLink, ledger: Ledger, calls: TurnCalls, jobs: RunningJobs, patience: Patience
    ) -> None:
        """Work through `link`, which is then owned."""
        self._link = link
        self._ledger = ledger
        self._calls = calls
        self._jobs = jobs
        self._patience = patience
        self._due = Alarm(ledger.wake)
        self._limit = Alarm(ledger.wake)

    async def run(self) -> None:
        """Work until the ledger is over."""
        now = asyncio.get_running_loop().time
        try:
            while not self._ledger.over:
                self._ledger.bell.clear()
                turn = self._ledger.next_turn(now())
                if turn is None:
                    await self._ledger.bell.wait()
                else:
                    await self._do(turn)
            self._ledger.bell.set()  # others may be waiting
        finally:
            self._due.cancel()
            self._limit.cancel()
            await self._link.close()

    async def _do(self, turn: Turn) -> None:
        try:
            (raw,) = await self._link.run(self._calls.script, [self._calls.arguments(turn)])
        except ServerError as error:
            self._ledger.failed(turn)
            await self._patience.pause(error)
        except BaseException:
            self._ledger.failed(turn)
            raise
        else:
            self._patience.reset()
            self._apply(turn, self._calls.reply(raw))

    def _apply(self, turn: Turn, reply: TurnReply) -> None:
        self._ledger.done(turn, reply, asyncio.get_running_loop().time())
        for step, answer in zip(turn.steps, reply.answers, strict=True):
            if answer != 0:
                self._jobs.refused(step, answer)
        for job in reply.jobs:
            self._jobs.begin(job)
        self._set_alarms(reply)

    def _set_alarms(self, reply: TurnReply) -> None:
        if reply.limited_for:
            self._limit.cancel()  # what was said before is out of date
            self._limit.set(reply.limited_for)
        if reply.due:
            self._due.set(max(0.0, reply.due / 1000 - time.time()))
        if reply.failure:
            self._jobs.not_taken(reply.failure)
            self._due.set(_AFTER_FAILURE)
