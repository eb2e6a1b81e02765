"""Streams and dead letters in memory: what a server would hold, for tests, and as the readable reference."""

import asyncio
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from domainstream.stream.port import DeadLetter, Delivery, Fields, RedriveResult, StoredDeadLetter
from domainstream.stream.state import id_order, previous_id
from domainstream.validation import plain_name

Clock = Callable[[], float]


@dataclass(slots=True)
class Pending:
    """An entry that was delivered and is not acknowledged."""

    consumer: str
    """The consumer that it was delivered to last."""

    since: float
    """When, in seconds on the streams' clock."""

    deliveries: int = 1
    """How often it has been delivered."""


@dataclass(slots=True)
class MemoryGroup:
    """One consumer group of one channel."""

    read: int = 0
    """How many of the channel's entries, from its beginning, were delivered to the group or lost by it."""

    is_new: bool = True
    """Whether it has not read yet."""

    last_id: str = "0-0"
    """The id of the newest entry that was delivered to it."""

    pending: dict[str, Pending] = field(default_factory=dict)
    """What has not been acknowledged, by entry id, in the stream's order."""


@dataclass(slots=True)
class MemoryLease:
    """The lease of one group on one channel."""

    owner: str = ""
    """The instance that has it; empty if it was given up."""

    epoch: int = 0
    """The number of the latest take."""

    until: float = 0.0
    """When it ends, in seconds on the streams' clock."""

    token: str = ""
    """What distinguishes the stream from others of its name; empty once it has to be made anew."""

    reached: dict[str, str] = field(default_factory=dict)
    """For each queue, the last entry whose jobs it was given."""


class MemoryStreams:
    """A list of entries per channel, the groups that read them, and the dead letters."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self.entries: dict[str, list[Delivery]] = {}
        """The entries of each channel, oldest first, without those that were removed."""
        self.removed: Counter[str] = Counter()
        """How many entries of each channel were trimmed or deleted."""
        self.stored_dead_letters: list[StoredDeadLetter] = []
        """The dead letters, oldest first."""
        self.groups: dict[tuple[str, str], MemoryGroup] = {}
        """The group of each channel and name."""
        self.leases: dict[tuple[str, str], MemoryLease] = {}
        """The lease of each channel and group's name; it outlives the group."""
        self.changes: Counter[str] = Counter()
        """How often each channel has changed."""
        self.changed = asyncio.Event()
        """Set, and replaced by another, whenever one of them changes."""
        self.clock = clock
        """Returns the time in seconds; pass another one to let time pass in a test."""
        self._last_id = 0

    @property
    def dead(self) -> list[DeadLetter]:
        """The dead letters, oldest first, without their own ids."""
        return [stored.dead_letter for stored in self.stored_dead_letters]

    def next_id(self) -> str:
        """Return an id that is greater than every id before."""
        self._last_id += 1
        return f"{self._last_id}-0"

    def add(self, channel: str, data: bytes | None, other: Fields = ()) -> str:
        """Add an entry and return its id; None makes one without the field `data`, `other` are its other fields."""
        entry = Delivery(plain_name(channel), self.next_id(), data, other=other)
        self.entries.setdefault(entry.channel, []).append(entry)
        self._note_change(entry.channel)
        return entry.entry_id

    def trim(self, channel: str, *, keep: int) -> None:
        """Remove the oldest entries of a channel, read or not, as retention would, until `keep` entries are left."""
        entries = self.entries.get(plain_name(channel), [])
        gone = max(0, len(entries) - keep)
        del entries[:gone]
        self.removed[plain_name(channel)] += gone

    def delete(self, channel: str, entry_id: str) -> None:
        """Remove an entry of a channel, if it is there."""
        if entry := self.entry(plain_name(channel), entry_id):
            self.entries[entry.channel].remove(entry)
            self.removed[entry.channel] += 1

    def entry(self, channel: str, entry_id: str) -> Delivery | None:
        """Return an entry, or None if it was removed."""
        return next(iter(self.between(channel, previous_id(entry_id), entry_id)), None)

    def between(self, channel: str, after: str, until: str | None = None) -> list[Delivery]:
        """Return the entries after one id, up to another if one is given."""
        entries = self.entries.get(channel, [])
        first = bisect_right(entries, id_order(after), key=_order)
        return entries[first : bisect_right(entries, id_order(until), key=_order) if until else None]

    def destroy_group(self, channel: str, name: str) -> None:
        """Forget what a group has read."""
        self.groups.pop((plain_name(channel), name), None)
        self._note_change(plain_name(channel))

    def _note_change(self, channel: str) -> None:
        self.changes[channel] += 1
        self.changed.set()
        self.changed = asyncio.Event()


class MemoryWakeUps:
    """The `WakeUps` of `MemoryStreams`."""

    def __init__(self, streams: MemoryStreams, channels: Iterable[str]) -> None:
        self._streams = streams
        self._seen = dict.fromkeys(map(plain_name, channels), 0)

    async def run(self) -> None:
        """Wait to be cancelled: it hears of changes without listening."""
        await asyncio.Event().wait()

    async def wait(self, seconds: float) -> set[str]:
        """Wait for changes; see `WakeUps.wait`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (changed := self._changed()):
                    await self._streams.changed.wait()
                self._seen |= changed
                return set(changed)
        return set()

    def _changed(self) -> dict[str, int]:
        """Return how often each stream has changed, if that is more often than before."""
        changes = self._streams.changes
        return {channel: changes[channel] for channel, seen in self._seen.items() if changes[channel] != seen}


class MemoryDeadLetterRedrive:
    """The `DeadLetterRedrive` of what a `MemoryStreamReader` stores."""

    def __init__(self, streams: MemoryStreams) -> None:
        self._streams = streams

    async def page(self, channel: str, *, after: str = "", count: int = 100) -> Sequence[StoredDeadLetter]:
        """Return a page of dead letters; see `DeadLetterRedrive.page`."""
        stored = self._of(channel)
        start = next((index + 1 for index, each in enumerate(stored) if each.dead_letter_id == after), 0)
        return stored[start : start + count]

    async def redrive(self, channel: str, *, dead_letter_id: str | None = None, count: int = 100) -> RedriveResult:
        """Move dead letters back; see `DeadLetterRedrive.redrive`."""
        wanted = [stored for stored in self._of(channel) if dead_letter_id in (None, stored.dead_letter_id)]
        with_data = [stored for stored in wanted if stored.dead_letter.delivery.data is not None][:count]
        entry_ids = [
            self._streams.add(
                channel,
                stored.dead_letter.delivery.data,
                () if stored.left_out else stored.dead_letter.delivery.other,
            )
            for stored in with_data
        ]
        for stored in with_data:
            self._streams.stored_dead_letters.remove(stored)
        without_data = [stored.dead_letter_id for stored in wanted if stored.dead_letter.delivery.data is None]
        return RedriveResult(tuple(entry_ids), tuple(without_data))

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _of(self, channel: str) -> list[StoredDeadLetter]:
        return [
            stored
            for stored in self._streams.stored_dead_letters
            if stored.dead_letter.delivery.channel == plain_name(channel)
        ]


def _order(entry: Delivery) -> tuple[int, int]:
    return id_order(entry.entry_id)
