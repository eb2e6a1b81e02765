"""Which primaries of a cluster fail, so that a batch which goes to all of them does not wait for one.

A relay sends one batch after the other, each to all nodes at once. A node that answers nothing would hold up every
channel. So a node that fails is left alone for a while: for `REST` times as long as its last failure took. Whoever asks
the nodes one after the other thus spends at most a fifth of the time on dead ones.
"""

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Final, NamedTuple

from domainstream.redis.link import RedisLink
from domainstream.redis.topology import Address

REST: Final = 4.0
"""How many times as long as its last failure took a node is left alone."""

PATIENCE: Final = 1.0
"""Seconds for which failures are repeated before the channels of other nodes go on alone: not after one lost reply."""


FORGOTTEN: Final = 60.0
"""Seconds after a rest in which nobody has asked the node again; then it is forgotten."""


class Rest(NamedTuple):
    """How long a node is left alone; by the monotonic clock."""

    since: float
    """When it began to fail."""

    until: float
    """When it is asked again."""


class FailingNodes:
    """Knows which nodes and keys have failed lately. On a single server it knows nothing, and does nothing."""

    def __init__(self, link: RedisLink) -> None:
        """Take the owners of keys from `link`."""
        self._link = link
        self._since: dict[str, float] = {}
        self._rests: dict[Address, Rest] = {}

    async def resting(self, keys: Sequence[str]) -> set[str]:
        """Return the keys whose node is left alone now; none if no other node goes on."""
        now = monotonic()
        self._rests = {owner: rest for owner, rest in self._rests.items() if now < rest.until + FORGOTTEN}
        # Also to learn whether a replica has taken over.
        if not self._rests or not await self._link.refresh_owners():
            return set()
        found = set()
        for key in keys:
            owner = self._link.owner(key)
            rest = self._rests.get(owner) if owner else None
            if rest is not None and now < rest.until:
                self._since.setdefault(key, rest.since)
                found.add(key)
        return found

    def note(self, keys: Sequence[str], failed: Iterable[str], began: float) -> None:
        """Note which of the keys failed in an attempt that began then, by the monotonic clock."""
        now = monotonic()
        lost = set(failed)
        well = {self._link.owner(key) for key in keys if key not in lost}
        for key in keys:
            owner = self._link.owner(key)
            if key not in lost:
                self._since.pop(key, None)
            elif owner is not None:
                since = self._since.setdefault(key, began)
                if owner not in well:
                    known = self._rests.get(owner)
                    self._rests[owner] = Rest(known.since if known else since, now + REST * (now - began))
        self._rests = {owner: rest for owner, rest in self._rests.items() if owner not in well}

    async def others_go_on(self, failed: Iterable[str]) -> bool:
        """Return whether these keys have failed for so long that the others need not wait, and others can go on."""
        now = monotonic()
        if not all(now - self._since.get(key, now) >= PATIENCE for key in failed):
            return False
        return await self._link.refresh_owners()
