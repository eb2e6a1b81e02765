"""Listens to one server for the streams that change, or asks it for them where it does not say so."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from redis.asyncio import ConnectionPool

from domainstream.redis.errors import NoReplyError, place_of
from domainstream.redis.key_changes import NotTrackedError, OnChange, report_changes
from domainstream.redis.link import RedisLink
from domainstream.retrying import LoggedBackoff
from domainstream.telemetry import Signal, emit

SHORTEST_PAUSE: Final = 0.02
"""Seconds between two questions for new entries while there are some."""

LONGEST_PAUSE: Final = 1.0
"""Seconds between two questions while there are none; the pause doubles up to there."""

ANSWER_TIME: Final = 5.0
"""Seconds that the server has for its answer."""


class WakeUpListener:
    """Calls a function for the streams of one server that may have new entries."""

    def __init__(
        self, pool: ConnectionPool, keys: Callable[[], Sequence[str]], wake: OnChange, lost: Callable[[], None]
    ) -> None:
        """Make connections with `pool`, to a server that has the streams `keys()` now, and may get others.

        `wake` gets keys that have changed, of streams or not, or None when any may have; `lost` is called after each
        attempt that failed.
        """
        self._pool = pool
        self._place = place_of(pool)
        self._keys = keys
        self._wake = wake
        self._lost = lost
        self._is_missing = False
        self._backoff = LoggedBackoff(self._report)

    async def run(self, prefixes: Sequence[str]) -> NoReturn:
        """Listen for keys that begin with one of `prefixes` until cancelled, whatever happens to the server."""
        while True:
            try:
                await report_changes(self._pool, prefixes, self._on_change)
            except NotTrackedError as refusal:
                if not self._is_missing:
                    self._is_missing = True
                    emit(Signal.STREAM_WAKE_UPS_MISSING, server=self._place, reason=refusal)
                failure = await self._ask()
            except NoReplyError as error:
                failure = error
            self._wake(None)
            self._lost()
            await self._backoff.pause(failure)

    async def _ask(self) -> NoReplyError:
        """Ask for the newest entry of each stream until the server does not answer; return why."""
        self._wake(None)
        link = RedisLink(self._pool)
        after: dict[str, bytes] = {}
        pause = SHORTEST_PAUSE
        try:
            while True:
                keys = self._keys()
                calls = [("XREVRANGE", key, "+", after.get(key, b"-"), "COUNT", 1) for key in keys]
                replies = await link.exchange(*calls, seconds=ANSWER_TIME)
                newest = {}
                for key, reply in zip(keys, replies, strict=True):
                    if isinstance(reply, NoReplyError):
                        return reply
                    if isinstance(reply, list) and reply:
                        newest[key] = b"(" + reply[0][0]
                self._backoff.reset()
                after.update(newest)
                # Errors count as well, but one that stays does not shorten the pauses.
                self._wake([key.encode() for key, reply in zip(keys, replies, strict=True) if reply])
                pause = SHORTEST_PAUSE if newest else min(2 * pause, LONGEST_PAUSE)
                await asyncio.sleep(pause)
        finally:
            await link.drop()

    def _on_change(self, keys: Sequence[bytes] | None) -> None:
        if keys is None:
            self._backoff.reset()
        self._wake(keys)

    def _report(self, pause: float, error: Exception) -> None:
        emit(Signal.STREAM_WAKE_UPS_LOST, server=self._place, pause_s=round(pause, 3), reason=error)
