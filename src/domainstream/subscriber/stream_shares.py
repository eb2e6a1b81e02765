"""Shares the streams of a group among its instances: each finds out who is there, and which streams are its own.

That is about who reads what, not about order: only the lease of a stream lets an instance read it.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from domainstream.errors import ServerError
from domainstream.lifecycle import Lifecycle
from domainstream.retrying import Backoff
from domainstream.stream.assignment import GroupMembers, assign
from domainstream.stream.lease import LeaseHeldError
from domainstream.subscriber.progress import Progress

TERMS: Final = 2
"""Terms of membership in one of a lease: who is gone is known before its leases are free."""

BEATS: Final = 10
"""Beats in a term of membership."""

HELD_LOOK: Final = 1.0
"""Seconds after which to look again for a lease that another instance has."""

RELEASE_TIME: Final = 2.0
"""Seconds for which an instance that is given a stream waits closely for the one before to give it up."""

FAREWELL: Final = 1.0
"""Seconds that leaving may take."""


def term_of(lease: timedelta) -> timedelta:
    """Return how long an instance stays a member that says nothing, where leases last for `lease`."""
    return lease / TERMS


class Share:
    """A stream, as far as it is this instance's share."""

    def __init__(self, *, release_look: float = HELD_LOOK) -> None:
        """It is, until `assign` says otherwise; `release_look` seconds are between looks whether it is given up."""
        self.rang = asyncio.Event()
        """Set when there may be something to read, when the share changes, and when it is time to stop."""
        self.is_mine = True
        """Whether this instance is to read it."""
        self._assigned_at = -RELEASE_TIME
        self._release_look = release_look

    def assign(self, *, is_mine: bool) -> None:
        """Let this instance read the stream, or give it up once what was read is handed over."""
        if is_mine and not self.is_mine:
            self._assigned_at = asyncio.get_running_loop().time()
        self.is_mine = is_mine
        self.rang.set()

    async def wait(self) -> None:
        """Wait until something has changed."""
        self.rang.clear()
        await self.rang.wait()

    def pause_for(self, held: LeaseHeldError) -> float:
        """Return after how many seconds to look again for a lease that another instance has."""
        is_new = asyncio.get_running_loop().time() - self._assigned_at < RELEASE_TIME
        return min(held.seconds, self._release_look if is_new else HELD_LOOK)


class StreamShares:
    """The streams of one instance."""

    def __init__(
        self, pools: Sequence[Collection[str]], members: GroupMembers, progress: Progress, *, lease: timedelta
    ) -> None:
        """Divide each of `pools` evenly among `members`; leases of streams last for `lease`."""
        self._pools = pools
        self._members = members
        self._progress = progress
        self._pause = term_of(lease).total_seconds() / BEATS
        self._present: frozenset[str] = frozenset()

    async def run(self, lifecycle: Lifecycle, assigned: Callable[[set[str]], None]) -> None:
        """Call `assigned` with the streams of this instance whenever they change; leave when the lifecycle stops.

        While the members cannot be asked, it keeps what it has; one that has never known them takes whatever is free.
        """
        backoff = Backoff()
        while not lifecycle.stopping.is_set():
            try:
                present = await self._members.beat()
            except ServerError as error:
                if not self._present:
                    assigned({stream for pool in self._pools for stream in pool})
                await lifecycle.rest(self._progress.failed("", error, backoff))
                continue
            backoff.reset()
            self._progress.succeeded("")
            if present != self._present:
                self._present = present
                assigned(self._own())
            await lifecycle.rest(self._pause)
        with suppress(ServerError, TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._members.leave()

    def _own(self) -> set[str]:
        return {
            stream
            for pool in self._pools
            for stream, instance in assign(pool, self._present).items()
            if instance == self._members.instance
        }
