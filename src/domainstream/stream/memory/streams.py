"""Streams and dead letters in memory: what a server would hold, for tests, and as the readable reference."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import structs

from domainstream.stream.port import DeadLetter, Delivery, Fields, RedriveResult, StoredDeadLetter, kept_fields
from domainstream.validation import plain_name

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry that was delivered and is not acknowledged."""

    consumer: str
    """The consumer that it was delivered to last."""

    since: float
    """When, in seconds on the streams' clock."""

    deliveries: int
    """How often it has been delivered."""


class MemoryGroup:
    """One consumer group of one channel."""

    def __init__(self, trimmed: int) -> None:
        self.trimmed_before = trimmed
        """How many of the channel's entries had been trimmed when the group was created; 0 once that is reported."""
        self.read = trimmed
        """How many of the channel's entries, from its beginning, were delivered to the group or lost by it."""
        self.last_id = "0-0"
        """The id of the newest entry that was delivered to it."""
        self.pending: dict[str, Pending] = {}
        """What has not been acknowledged, by entry id, in the stream's order."""

    def deliver(self, entry: Delivery, consumer: str, now: float) -> Delivery:
        """Deliver an entry to a consumer: note it as pending, and return it with the count of its deliveries."""
        before = self.pending.get(entry.entry_id)
        deliveries = before.deliveries + 1 if before else 1
        self.pending[entry.entry_id] = Pending(consumer, now, deliveries)
        return structs.replace(entry, deliveries=deliveries)


class MemoryStreams:
    """A list of entries per channel, the groups that read them, and the dead letters."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self.entries: dict[str, list[Delivery]] = {}
        """The entries of each channel, oldest first, without those that were trimmed."""
        self.trimmed: dict[str, int] = {}
        """How many entries of each channel were trimmed."""
        self.stored_dead_letters: list[StoredDeadLetter] = []
        """The dead letters, oldest first."""
        self.clock = clock
        """Returns the time in seconds; pass another one to let time pass in a test."""
        self.changed = asyncio.Event()
        """Set when readers that wait should look again."""
        self._groups: dict[tuple[str, str], MemoryGroup] = {}
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
        self.wake()
        return entry.entry_id

    def trim(self, channel: str, *, keep: int) -> None:
        """Drop the oldest entries of a channel, read or not, as retention would, until `keep` entries are left."""
        entries = self.entries.get(plain_name(channel), [])
        gone = max(0, len(entries) - keep)
        del entries[:gone]
        self.trimmed[plain_name(channel)] = self.trimmed.get(plain_name(channel), 0) + gone

    def has_group(self, channel: str, name: str) -> bool:
        """Return whether a channel has this group."""
        return (channel, name) in self._groups

    def group(self, channel: str, name: str) -> MemoryGroup:
        """Return a group of a channel, created at its beginning if need be."""
        return self._groups.setdefault((channel, name), MemoryGroup(self.trimmed.get(channel, 0)))

    def destroy_group(self, channel: str, name: str) -> None:
        """Forget what a group has read."""
        self._groups.pop((plain_name(channel), name), None)
        self.wake()

    def unread(self, channel: str, group: MemoryGroup) -> list[Delivery]:
        """Return the entries that are left and were not delivered to a group."""
        start = max(0, group.read - self.trimmed.get(channel, 0))
        return self.entries.get(channel, [])[start:]

    def wake(self) -> None:
        """Let readers that wait look again."""
        self.changed.set()
        self.changed = asyncio.Event()


class MemoryDeadLetters:
    """`DeadLetters` of `MemoryStreams`."""

    def __init__(self, streams: MemoryStreams, *, group: str) -> None:
        self.group = plain_name(group)
        """The consumer group in whose name entries are acknowledged."""
        self._streams = streams

    async def store(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Store and acknowledge; see `DeadLetters.store`."""
        for dead_letter in dead_letters:
            pending = self._streams.group(dead_letter.delivery.channel, self.group).pending
            if pending.pop(dead_letter.delivery.entry_id, None) is not None:
                kept, left_out = kept_fields(dead_letter.delivery.other)
                letter = structs.replace(dead_letter, delivery=structs.replace(dead_letter.delivery, other=kept))
                stored = StoredDeadLetter(self._streams.next_id(), self.group, letter, left_out)
                self._streams.stored_dead_letters.append(stored)

    async def close(self) -> None:
        """Do nothing: there are no connections."""


class MemoryDeadLetterRedrive:
    """The `DeadLetterRedrive` of what `MemoryDeadLetters` stores."""

    def __init__(self, streams: MemoryStreams) -> None:
        self._streams = streams

    async def page(self, channel: str, *, after: str = "", count: int = 100) -> list[StoredDeadLetter]:
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
