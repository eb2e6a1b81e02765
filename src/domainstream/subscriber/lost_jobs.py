"""Adds again what a queue's server has lost: it had acknowledged jobs that the new primary never got.

Their entries are acknowledged, so nobody will deliver them again. But the queue's mark was lost with them: it says how
far the queue has the channel's jobs, and the stream still has the entries.
"""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from domainstream.queue import ChannelEpoch, Fenced, QueueBehindError, RoutedEntry
from domainstream.stream import Lease
from domainstream.stream.state import id_order, previous_id
from domainstream.subscriber.parts import HandOverParts
from domainstream.telemetry import Signal, emit

PAGE: Final = 500

MOST: Final = 10_000
"""How many entries of a channel a queue gets again at most. A server that has lost more is likely to have been restored
from an old copy, and most of them have been handled: whether to `replay` them is for people to say.
"""


class LostJobs:
    """What the queues of one channel have lost, as far as its owner knows."""

    def __init__(self, channel: str, lease: Lease, epoch: ChannelEpoch, parts: HandOverParts) -> None:
        """Know of nothing yet."""
        self._channel, self._lease, self._epoch = channel, lease, epoch
        self._reader, self._adder, self._router = parts.reader, parts.adder, parts.router
        self._progress = parts.progress
        self._until: dict[str, str] = {}
        self.arrived = "0-0"
        """The entry up to which every queue had the channel's jobs at the take, also of those that are pending."""

    def __bool__(self) -> bool:
        """Return whether a queue has lost something."""
        return bool(self._until)

    async def compare(self, fenced: Mapping[str, Fenced], *, served_since: int) -> None:
        """Compare the marks of queues with what owners before have read: what is between is pending, or lost.

        What is pending comes anyway, and is counted as delivered. From the epoch `served_since` on, each owner has
        added what it read: a queue's server may have lost the announcements of several. Raises what `StreamReader.turn`
        raises.
        """
        marks = [said.mark or self.arrived for said in fenced.values()]
        self.arrived = min(marks, key=id_order, default=self._lease.last_delivered)
        for queue, said in fenced.items():
            was_served = said.mark and 0 < served_since <= said.mark_epoch
            if not was_served or id_order(said.mark) >= id_order(self._lease.last_delivered):
                continue
            first = await self._first_pending(said.mark)
            self._until[queue] = previous_id(first) if first else self._lease.last_delivered
            self._epoch.reached[queue] = said.mark

    async def _first_pending(self, after: str) -> str:
        """Return the id of the first pending entry after an id; empty if there is none."""
        while True:
            turn = await self._reader.turn(self._channel, self._lease, "pending", (), after=after)
            self._progress.removed(self._channel, turn.deleted, arrived=self.arrived)
            if turn.deliveries:
                return turn.deliveries[0].entry_id
            if not turn.deleted:
                return ""

    def note_behind(self, behind: QueueBehindError) -> None:
        """Note what a queue has lost in this epoch."""
        reached = self._epoch.reached
        if behind.queue in reached:  # else it has lost the first part of a batch that will be added again
            self._until.setdefault(behind.queue, reached[behind.queue])
            reached[behind.queue] = behind.mark

    async def add_again(self) -> None:
        """Add all that is lost; after an error, the next call goes on. Raises what `JobAdder.add` raises."""
        for queue, until in list(self._until.items()):
            await self._add_again(queue, until)
            del self._until[queue]

    async def _add_again(self, queue: str, until: str) -> None:
        epoch = replace(self._epoch, queues=[queue])  # which shares `reached`
        after, count = epoch.reached[queue], 0
        while count < MOST and id_order(after) < id_order(until):
            turn = await self._reader.turn(self._channel, self._lease, "look", (), after=after, count=PAGE)
            page = [one for one in turn.deliveries if id_order(one.entry_id) <= id_order(until)]
            if not page:
                break
            entries = [_only_for(queue, entry) for entry in self._router.route(page)]
            # What is refused has been refused before: it is a dead letter, or pending.
            await self._adder.add(self._channel, [entry for entry in entries if entry.jobs], epoch)
            after, count = page[-1].entry_id, count + len(page)
        if count:
            signal = Signal.SUBSCRIBER_JOBS_RESTORED if count < MOST else Signal.SUBSCRIBER_JOBS_LOST
            emit(signal, channel=self._channel, queue=queue, entries=count, until=after)


def _only_for(queue: str, entry: RoutedEntry) -> RoutedEntry:
    return replace(entry, jobs=tuple([job for job in entry.jobs if job.queue == queue]))
