"""Waits for jobs while a queue is empty.

BullMQ puts a marker into a sorted set when a job is added or due; who pops it has to look.
"""

from typing import Any, Final

from domainstream.errors import ServerError
from domainstream.redis.link import REPLY_TIMEOUT, RedisLink
from domainstream.worker.bullmq.tracker import JobTracker
from domainstream.worker.patience import LoggedBackoff

LONGEST_WAIT: Final = 5
"""Seconds after which somebody looks without a marker."""


class MarkerListener:
    """Wakes the ledger of a worker that has room for jobs and found none."""

    def __init__(self, link: RedisLink, tracker: JobTracker, marker: str, backoff: LoggedBackoff) -> None:
        """Listen through `link`, which is then owned, for the key `marker`."""
        self._link = link
        self._tracker = tracker
        self._marker = marker
        self._backoff = backoff

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                await self._tracker.idle.wait()
                await self._listen()
        finally:
            await self._link.close()

    async def _listen(self) -> None:
        try:
            listen = ("BZPOPMIN", self._marker, LONGEST_WAIT)
            popped = await self._link.ask(listen, seconds=LONGEST_WAIT + REPLY_TIMEOUT)
            self._tracker.wake()
            if popped is not None and self._tracker.free <= 0:
                await self._put_back(popped)
        except ServerError as error:
            await self._backoff.pause(error)
        else:
            self._backoff.reset()

    async def _put_back(self, popped: list[Any]) -> None:
        """Leave the marker to other workers: this one has got jobs meanwhile, as many as it can hold."""
        _, member, score = popped
        await self._link.ask(("ZADD", self._marker, score, member), seconds=REPLY_TIMEOUT)
