"""Reads streams in memory, in the way in which the reader for Redis does. Implements `StreamReader`."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from domainstream.errors import ServerUnavailableError
from domainstream.stream.memory.streams import MemoryGroup, MemoryStreams, Pending
from domainstream.stream.port import Delivery, Loss, ReaderSettings
from domainstream.stream.reader.stats import OnLoss, ReaderStats, ReaderStatsRecorder
from domainstream.validation import plain_name

DEFAULTS: Final = ReaderSettings()


class MemoryStreamReader:
    """A `StreamReader` of `MemoryStreams`. It heeds `max_entries` of its settings, but not `max_bytes`."""

    def __init__(
        self,
        streams: MemoryStreams,
        channels: Iterable[str],
        *,
        group: str,
        consumer: str = "consumer",
        settings: ReaderSettings = DEFAULTS,
        on_loss: OnLoss | None = None,
    ) -> None:
        """Read `channels` of `streams`, and report losses to `on_loss`."""
        self.group = plain_name(group)
        """The consumer group."""
        self.consumer = plain_name(consumer)
        """The name in it that entries are delivered to."""
        self._streams = streams
        self._channels = [plain_name(channel) for channel in channels]
        self._settings = settings
        self._recorder = ReaderStatsRecorder(self.group, on_loss)
        self._block = settings.block.total_seconds()
        self._claim_after = settings.claim_after.total_seconds()
        self._pages: Iterator[list[Delivery]] = self._pending_pages(own=True)
        self._next_sweep = streams.clock() + self._claim_after / 2
        self._groups_exist = False
        self._closed = False

    @property
    def stats(self) -> ReaderStats:
        """What the reader has met since it was made."""
        return self._recorder.stats

    async def read(self) -> Sequence[Delivery]:
        """Return what is pending, page by page, else new entries; see `StreamReader.read`."""
        if self._closed:
            raise ServerUnavailableError("the reader is closed; make a new one")
        deliveries = self._ready()
        if not deliveries:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._block):
                    await self._streams.changed.wait()
                deliveries = self._ready()
        self._recorder.read(len(deliveries))
        return deliveries

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Drop them from the pending list; see `StreamReader.acknowledge`."""
        for delivery in deliveries:
            self._streams.group(delivery.channel, self.group).pending.pop(delivery.entry_id, None)

    async def close(self) -> None:
        """Let a read that waits return nothing; see `StreamReader.close`."""
        self._closed = True
        self._streams.wake()

    def _ready(self) -> list[Delivery]:
        if self._closed:
            return []
        gone = [channel for channel in self._channels if not self._streams.has_group(channel, self.group)]
        for channel in gone:
            self._streams.group(channel, self.group)
        if self._groups_exist:
            self._recorder.recreated(gone)
        self._groups_exist = True
        if page := next(filter(None, self._pages), None):
            return page
        if self._streams.clock() >= self._next_sweep:
            self._next_sweep = self._streams.clock() + self._claim_after / 2
            self._pages = self._pending_pages(own=False)
            if page := next(filter(None, self._pages), None):
                return page
        return self._new_entries()

    def _pending_pages(self, *, own: bool) -> Iterator[list[Delivery]]:
        """Page through what is pending: with `own` first everything in the reader's name, then abandoned entries."""
        for wanted in (self._is_own, self._is_abandoned) if own else (self._is_abandoned,):
            for channel in self._channels:
                pending = self._streams.group(channel, self.group).pending
                ids = [entry_id for entry_id, entry in pending.items() if wanted(entry)]
                for start in range(0, len(ids), self._settings.max_entries):
                    yield self._deliver_again(channel, ids[start : start + self._settings.max_entries], wanted)

    def _is_own(self, pending: Pending) -> bool:
        return pending.consumer == self.consumer

    def _is_abandoned(self, pending: Pending) -> bool:
        return self._streams.clock() - pending.since >= self._claim_after

    def _deliver_again(self, channel: str, entry_ids: list[str], wanted: Callable[[Pending], bool]) -> list[Delivery]:
        group = self._streams.group(channel, self.group)
        entries = {entry.entry_id: entry for entry in self._streams.entries.get(channel, ())}
        # While earlier pages were handled, some may have been settled, or taken over by others.
        ids = [entry_id for entry_id in entry_ids if entry_id in group.pending and wanted(group.pending[entry_id])]
        for gone in [entry_id for entry_id in ids if entry_id not in entries]:
            del group.pending[gone]
            self._recorder.lost([Loss(channel, self.group, 1, after=gone, before=gone)])
        left = [entries[entry_id] for entry_id in ids if entry_id in entries]
        if wanted == self._is_abandoned:
            self._recorder.reclaimed(channel, len(left))
        return [group.deliver(entry, self.consumer, self._streams.clock()) for entry in left]

    def _new_entries(self) -> list[Delivery]:
        new_entries: list[Delivery] = []
        for channel in self._channels:
            group = self._streams.group(channel, self.group)
            unread = self._streams.unread(channel, group)
            self._recorder.lost(self._losses(channel, group, unread))
            taken = unread[: self._settings.max_entries - len(new_entries)]
            new_entries += [group.deliver(entry, self.consumer, self._streams.clock()) for entry in taken]
            group.read += len(taken)
            group.last_id = taken[-1].entry_id if taken else group.last_id
        return new_entries

    def _losses(self, channel: str, group: MemoryGroup, unread: Sequence[Delivery]) -> Iterator[Loss]:
        before = unread[0].entry_id if unread else ""
        if group.trimmed_before:
            yield Loss(channel, self.group, group.trimmed_before, group.last_id, before, before_group=True)
            group.trimmed_before = 0
        lost = self._streams.trimmed.get(channel, 0) - group.read
        if lost > 0:
            group.read += lost
            yield Loss(channel, self.group, lost, after=group.last_id, before=before)
