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

BEGINNING: Final = "0-0"
"""The mark of a queue that has none of the channel's jobs."""

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
        self.arrived = BEGINNING
        """The entry up to which every queue had the channel's jobs at the take, also of those that are pending."""
        self._gaps: dict[str, tuple[str, str]] = {}

    def __bool__(self) -> bool:
        """Return whether a queue has lost something."""
        return bool(self._gaps)

    def compare(self, fenced: Mapping[str, Fenced]) -> None:
        """Compare the marks of queues with what their owners before had given them."""
        marks = [said.mark or BEGINNING for said in fenced.values()]
        self.arrived = min(marks, key=id_order, default=self._lease.last_delivered)
        for queue, said in fenced.items():
            reached = self._lease.reached.get(queue, "")
            if said.mark and reached and id_order(said.mark) < id_order(reached):
                self._gaps[queue] = (said.mark, reached)

    def note_behind(self, behind: QueueBehindError) -> None:
        """Note what a queue has lost in this epoch."""
        epoch, queue = self._epoch, behind.queue
        if queue not in epoch.reached:  # it has lost the first part of a batch that will be added again
            return
        # A queue that has lost even its first jobs had none of the channel's before this epoch, or has lost all it had.
        start = behind.mark if behind.mark != BEGINNING else previous_id(epoch.began[queue])
        self._gaps.setdefault(queue, (start, epoch.reached[queue]))
        del epoch.reached[queue]

    def known_reached(self) -> dict[str, str]:
        """Return what each queue has reached, but for those that have lost something."""
        return {queue: reached for queue, reached in self._epoch.reached.items() if queue not in self._gaps}

    async def add_again(self) -> None:
        """Add all that is lost; after an error, the next call goes on. Raises what `JobAdder.add` raises."""
        for queue in list(self._gaps):
            await self._add_again(queue)
            del self._gaps[queue]

    async def _add_again(self, queue: str) -> None:
        epoch, count = replace(self._epoch, queues=[queue]), 0  # which shares `reached`
        while count < MOST:
            after, until = self._gaps[queue]
            turn = await self._reader.turn(self._channel, self._lease, "look", after=after, count=PAGE)
            page = [one for one in turn.deliveries if id_order(one.entry_id) <= id_order(until)]
            if not page:
                break
            entries = [_only_for(queue, entry) for entry in self._router.route(page)]
            # What is refused has been refused before: it is a dead letter, or pending.
            await self._adder.add(self._channel, [entry for entry in entries if entry.jobs], epoch)
            self._gaps[queue], count = (page[-1].entry_id, until), count + len(page)
        after, until = self._gaps[queue]
        if id_order(after) >= id_order(until):
            emit(Signal.SUBSCRIBER_JOBS_RESTORED, channel=self._channel, queue=queue, entries=count, until=after)
        else:
            emit(Signal.SUBSCRIBER_JOBS_LOST, channel=self._channel, queue=queue, entries=count, until=after)


def _only_for(queue: str, entry: RoutedEntry) -> RoutedEntry:
    return replace(entry, jobs=tuple([job for job in entry.jobs if job.queue == queue]))
