"""Adds again what a queue's server has lost: it had acknowledged jobs that the new primary never got.

Their entries are acknowledged, so nobody will deliver them again. But the queue's mark was lost with them: it says how
far the queue has the channel's jobs, and the stream still has the entries.
"""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from domainstream.queue import RoutedEntry
from domainstream.queue.port import ChannelEpoch, Fenced, JobAdder, QueueBehindError
from domainstream.stream import Delivery
from domainstream.stream.lease import Lease
from domainstream.stream.port import StreamReader
from domainstream.stream.state import id_order
from domainstream.subscriber.router import JobRouter
from domainstream.telemetry import Signal, emit

PAGE: Final = 500

MOST: Final = 10_000
"""How many entries of a channel a queue gets again at most. A server that has lost more is likely to have been restored
from an old copy, and most of them have been handled: whether to `replay` them is for people to say.
"""


class LostJobs:
    """What the queues of one channel have lost, as far as its owner knows."""

    def __init__(
        self, channel: str, epoch: ChannelEpoch, reader: StreamReader, adder: JobAdder, router: JobRouter
    ) -> None:
        """Know of nothing yet."""
        self._channel, self._epoch = channel, epoch
        self._reader, self._adder, self._router = reader, adder, router
        self._until: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Return whether a queue has lost something."""
        return bool(self._until)

    def note_fenced(self, lease: Lease, fenced: Mapping[str, Fenced]) -> None:
        """Compare the marks of queues with what the owner before had read: what is between is pending, or lost."""
        for queue, said in fenced.items():
            was_served = said.mark and said.mark_epoch == lease.epoch_before
            if was_served and id_order(said.mark) < id_order(lease.last_delivered):
                self._until[queue], self._epoch.reached[queue] = lease.last_delivered, said.mark

    def note_pending(self, first: Delivery) -> None:
        """Leave entries alone from the first one that is pending: they come anyway, and are counted as delivered."""
        for queue in self._until:
            self._until[queue] = f"({first.entry_id}"

    def note_behind(self, behind: QueueBehindError) -> None:
        """Note what a queue has lost in this epoch."""
        self._until.setdefault(behind.queue, self._epoch.reached[behind.queue])
        self._epoch.reached[behind.queue] = behind.mark

    async def add_again(self) -> None:
        """Add all that is lost; after an error, the next call goes on. Raises what `JobAdder.add` raises."""
        for queue, until in list(self._until.items()):
            await self._add_again(queue, until)
            del self._until[queue]

    async def _add_again(self, queue: str, until: str) -> None:
        epoch = replace(self._epoch, queues=[queue])  # which shares `reached`
        after, count = epoch.reached[queue], 0
        while count < MOST and (page := await self._reader.between(self._channel, after, until, count=PAGE)):
            entries = [_only_for(queue, entry) for entry in self._router.route(page)]
            refused = {refusal.entry_id for refusal in await self._adder.add(self._channel, entries, epoch)}
            given_up = [RoutedEntry(entry.delivery) for entry in entries if entry.delivery.entry_id in refused]
            await self._adder.add(self._channel, given_up, epoch)
            after, count = page[-1].entry_id, count + len(page)
        if count:
            signal = Signal.SUBSCRIBER_JOBS_RESTORED if count < MOST else Signal.SUBSCRIBER_JOBS_LOST
            emit(signal, channel=self._channel, queue=queue, entries=count, until=after)


def _only_for(queue: str, entry: RoutedEntry) -> RoutedEntry:
    return replace(entry, jobs=tuple([job for job in entry.jobs if job.queue == queue]))
