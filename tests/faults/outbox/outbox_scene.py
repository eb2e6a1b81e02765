"""The environment of the outbox's fault tests: a database, a server, the processes around them, and what they did."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

from faults.children.naive_relay import NaiveOrder, run_naive_relay
from faults.children.outbox_relay import RelayOrder, run_relay
from faults.children.outbox_writer import WriterOrder, run_writer
from faults.children.process import Child
from faults.ledger import COMMITTED
from faults.outbox.business import Business
from faults.scene import Scene
from support.consuming import Channel

PAGE = 5_000
"""Entries that are read at a time."""


@dataclass(frozen=True)
class Entry:
    """An entry of a stream."""

    event_id: str
    """The event."""

    aggregate: str
    """What it is about."""

    version: int
    """Which of the aggregate's changes it is."""

    added_at: float
    """When the server added it, in seconds since 1970."""


@dataclass(frozen=True)
class Comparison:
    """What was delivered, compared with what was committed."""

    committed: int
    """Events that were committed."""

    lost: int
    """Committed events without an entry."""

    twice: int
    """Entries of an event that had one before."""

    ghosts: int
    """Entries of events that were not committed."""

    inversions: int
    """Entries that follow a later change of their aggregate, repeated entries aside."""

    def __str__(self) -> str:
        return (
            f"{self.committed} committed, {self.lost} lost, {self.twice} twice, {self.ghosts} ghosts, "
            f"{self.inversions} inversions"
        )


class OutboxScene(Scene):
    """A scene with a database."""

    def use(self, business: Business) -> None:
        """Work on these tables."""
        self.business = business
        self._numbers = count(1)

    @property
    def async_url(self) -> str:
        """The database's URL, for asyncpg or aiosqlite."""
        url = str(self.business.engine.url.render_as_string(hide_password=False))
        return url.replace("+psycopg", "+asyncpg").replace("sqlite:", "sqlite+aiosqlite:")

    def relay(self, **order: Any) -> Child:
        """Start a relay with a name of its own."""
        defaults = {
            "redis_url": self.server.url,
            "database_url": self.async_url,
            "name": self.business.outbox.table.name,
            "ledger": self.ledger,
            "owner": f"relay-{next(self._numbers)}",
        }
        return self._start(run_relay, RelayOrder(**{**defaults, **order}))

    def naive_relay(self, **order: Any) -> Child:
        """Start a relay as it is often written."""
        defaults = {
            "redis_url": self.server.url,
            "database_url": self._sync_url,
            "name": self.business.outbox.table.name,
        }
        return self._start(run_naive_relay, NaiveOrder(**{**defaults, **order}))

    def writer(self, **order: Any) -> Child:
        """Start a writer."""
        defaults = {"url": self._sync_url, "name": self.business.outbox.table.name, "ledger": self.ledger}
        return self._start(run_writer, WriterOrder(**{**defaults, **order}))

    def commit(self, transactions: int, events: int = 1) -> None:
        """Commit transactions that change the aggregates in turn."""
        for number in range(transactions):
            self.business.commit(number, events)

    async def length(self) -> int:
        """Return how many entries the streams have, all together."""
        return sum([int(await self.redis.xlen(channel)) for channel in Channel])

    async def until_length(self, entries: int) -> None:
        """Wait until the streams have at least `entries` entries."""

        async def enough() -> bool:
            return await self.length() >= entries

        await self.until(enough)

    async def until_progress(self, entries: int) -> None:
        """Wait until the streams have `entries` more entries than now."""
        await self.until_length(await self.length() + entries)

    async def until_drained(self) -> None:
        """Wait until the outbox is empty."""

        async def is_empty() -> bool:
            # In a thread: a relay of this process may have SQLite's lock.
            return await asyncio.to_thread(self.business.backlog) == 0

        await self.until(is_empty)

    async def stop(self, child: Child) -> None:
        """Let a child end gracefully."""
        child.terminate()
        await self.ended(child)

    async def entries(self) -> list[Entry]:
        """Return what is in the streams, each stream in its order."""
        return [entry for channel in Channel for entry in await self._entries_of(channel)]

    async def compared(self) -> Comparison:
        """Compare what was delivered with what was committed."""
        effects, entries = self.business.committed(), await self.entries()
        acknowledged = {line.split()[0] for line in self.ledger.read(COMMITTED)}
        assert acknowledged <= effects.keys(), "the database lost what it had acknowledged"
        times = Counter(entry.event_id for entry in entries)
        assert all(effects[each.event_id].version == each.version for each in entries if each.event_id in effects)
        return Comparison(
            committed=len(effects),
            lost=len(effects.keys() - times.keys()),
            twice=sum(times.values()) - len(times),
            ghosts=len(times.keys() - effects.keys()),
            inversions=_inversions(entries),
        )

    async def assert_delivered(self) -> Comparison:
        """Each committed event is in its stream once, each aggregate's in order, and nothing else is."""
        found = await self.compared()
        assert (found.lost, found.twice, found.ghosts, found.inversions) == (0, 0, 0, 0), f"{found}\n{self.log()}"
        assert found.committed > 0
        return found

    async def _entries_of(self, channel: str) -> list[Entry]:
        entries: list[Entry] = []
        last = "-"
        while page := await self._page(channel, last):
            entries += [_entry(entry_id.decode(), json.loads(fields[b"data"])) for entry_id, fields in page]
            last = f"({page[-1][0].decode()}"
        return entries

    async def _page(self, channel: str, first: str) -> Any:
        return await self.redis.xrange(channel, min=first, count=PAGE)

    @property
    def _sync_url(self) -> str:
        return str(self.business.engine.url.render_as_string(hide_password=False))


def _entry(entry_id: str, message: Any) -> Entry:
    data = message["data"]
    version = int(data["price"] if "price" in data else data["score"])
    return Entry(message["id"], message["subject"], version, int(entry_id.partition("-")[0]) / 1000)


def _inversions(entries: list[Entry]) -> int:
    versions: dict[str, dict[str, int]] = {}
    for entry in entries:
        versions.setdefault(entry.aggregate, {}).setdefault(entry.event_id, entry.version)
    return sum(later < earlier for each in versions.values() for earlier, later in pairwise(each.values()))
