"""Trying again after the server failed: pauses that grow, and a log that does not."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from domainstream.errors import ServerError
from domainstream.retrying import Backoff

log = logging.getLogger("domainstream.worker")

LONGEST_PAUSE: Final = timedelta(seconds=1)


class LoggedBackoff:
    """The attempts at one thing."""

    def __init__(self, queue: str) -> None:
        """Try things for the worker of `queue`, which stands in the log."""
        self._queue = queue
        self._backoff = Backoff(longest=LONGEST_PAUSE)
        self._failures = 0

    async def pause(self, error: ServerError) -> None:
        """Wait a while; log the failures 1, 2, 4, 8 and so on, so that a server that is down does not fill the log."""
        self._failures += 1
        pause = self._backoff.next()
        if self._failures & (self._failures - 1) == 0:
            log.warning("queue %s: trying again in %.2f s: %s", self._queue, pause, error)
        await asyncio.sleep(pause)

    def reset(self) -> None:
        """Begin anew, after an attempt went well."""
        if self._failures:
            self._failures = 0
            self._backoff.reset()
