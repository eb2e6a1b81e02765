"""The pauses of a relay that finds nothing to publish: short while events come, longer the longer none has come.

With a listener, a notification ends the pause. Nothing depends on it: it may get lost, and then the pause ends by
itself.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from domainstream.lifecycle import Lifecycle, cancel_and_wait
from domainstream.outbox.port import CommitListener
from domainstream.outbox.settings import RelaySettings
from domainstream.validation import raise_problems

QUIET_PART: Final = 0.25
"""The pause before the next look, as a part of the time without events so far."""


class Pauses:
    """The pauses between two looks of one relay."""

    def __init__(self, lifecycle: Lifecycle, settings: RelaySettings, listener: CommitListener | None) -> None:
        """Rest until `lifecycle` stops. Raises `ConfigurationError` where the settings need a listener."""
        problem = 'wake="notify" needs a listener; pass NotificationListener(engine, table)'
        raise_problems("OutboxRelay", [problem if settings.wake == "notify" and listener is None else None])
        self._lifecycle = lifecycle
        self._shortest = settings.shortest_pause.total_seconds()
        self._longest = settings.longest_pause.total_seconds()
        self._listener = listener if settings.wake == "notify" else None
        self._ended = asyncio.Event()
        self._last_batch = self._last_look = monotonic()

    def reset(self) -> None:
        """Begin with short pauses again, because events have come."""
        self._last_batch = monotonic()

    @asynccontextmanager
    async def ended_by_commits(self) -> AsyncIterator[None]:
        """End the current pause, or the next one, whenever the listener hears of a commit; then stop."""
        tasks: list[asyncio.Task[None]] = []
        if self._listener is not None:
            listen = self._listener.listen(self._ended.set)
            tasks.append(self._lifecycle.start(listen, name="notification listener"))
            tasks.append(self._lifecycle.start(self._end_on_stop(), name="end of the last pause", once=True))
        try:
            yield
        finally:
            self._lifecycle.stop()
            await cancel_and_wait(*tasks)

    async def rest(self) -> None:
        """Pause before the next look."""
        seconds = min(self._longest, max(self._shortest, (monotonic() - self._last_batch) * QUIET_PART))
        if self._listener is None:
            await self._lifecycle.rest(seconds)
            return
        if not self._ended.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._ended.wait()
            except TimeoutError:
                pass
        # A look for each notification would cost more than it brings: commits of the same moment make one batch.
        await self._lifecycle.rest(max(0.0, self._last_look + self._shortest - monotonic()))
        self._ended.clear()
        self._last_look = monotonic()

    async def _end_on_stop(self) -> None:
        await self._lifecycle.stopping.wait()
        self._ended.set()
