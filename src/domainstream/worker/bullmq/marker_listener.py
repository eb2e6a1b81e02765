"""Waits for jobs while a queue is empty.

BullMQ adds a marker to a sorted set when a job is added or becomes due; the worker that pops it must fetch.
"""

from typing import Final

from domainstream.errors import ServerError
from domainstream.redis.link import REPLY_TIMEOUT, RedisLink
from domainstream.retrying import LoggedBackoff
from domainstream.worker.bullmq.tracker import JobTracker

LONGEST_WAIT: Final = 5
"""Seconds after which an idle worker fetches without a marker."""


class MarkerListener:
    """Wakes the tracker of a worker that has room for jobs and found none."""

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
