"""Settles the entries of a channel in one epoch: adds jobs, stores dead letters, acknowledges, and keeps the lease."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from domainstream.channel.destinations import destination_of
from domainstream.errors import ServerError
from domainstream.event.trace_context import read_context
from domainstream.queue import RoutedEntry
from domainstream.queue.port import ChannelEpoch, QueueBehindError, Refusal, TooManyRefusalsError
from domainstream.stream import DeadLetter
from domainstream.stream.lease import Lease, LeaseLostError
from domainstream.stream.port import Read, Turn
from domainstream.stream.reader.batch_size import size_of
from domainstream.subscriber.lost_jobs import LostJobs
from domainstream.subscriber.parts import HandOverParts, OneChannel
from domainstream.telemetry import Attribute, Context, Span, tracing

FIRST: Final = "0-0"
"""Comes before all entries."""

ResultT = TypeVar("ResultT")


class Settling:
    """What an owner has settled of what it has read. For the tasks of one channel."""

    def __init__(
        self, own: OneChannel, lease: Lease, epoch: ChannelEpoch, lost: LostJobs, parts: HandOverParts
    ) -> None:
        """Settle what is read under `lease`, whose `epoch` the queues know; `lost` comes before anything else."""
        self.done: list[str] = []
        """The entries that the next turn acknowledges."""
        self.refused: set[str] = set()
        """The entries that stay pending, because a queue did not take them."""
        self._own = own
        self._lease, self._epoch, self._lost, self._parts = lease, epoch, lost, parts
        self._noted = dict(lease.reached)
        self._renew_after = parts.reading.lease.total_seconds() / 3
        self._channel, partition = destination_of(own.name)
        self._attributes = {Attribute.GROUP: parts.progress.group, **partition, **parts.server}

    async def turn(self, read: Read, *, after: str = FIRST, count: int = 1) -> Turn:
        """Take a turn that acknowledges what is done, and notes which entry each queue has reached by that."""
        done, self.done = self.done, []
        reached = {}
        if done:
            known = self._lost.known_reached()
            reached = {queue: last for queue, last in known.items() if self._noted.get(queue) != last}
            self._noted |= reached
        reader, lease = self._parts.reader, self._lease
        turn = await reader.turn(self._own.name, lease, read, done, reached=reached, after=after, count=count)
        self._parts.progress.read(turn)
        arrived = FIRST if read == "claim" else self._lost.arrived
        self._parts.progress.removed(self._own.name, turn.deleted, arrived=arrived)
        return turn

    async def settle(self, entries: Sequence[RoutedEntry], epoch: ChannelEpoch) -> None:
        """Add the jobs of entries and store their dead letters; what was refused stays pending."""
        if not entries:
            return
        size = size_of([entry.delivery for entry in entries])
        self._parts.held.hold(len(entries), size)
        attributes = {Attribute.BATCH_COUNT: len(entries), **self._attributes}

        def links() -> Iterator[Context]:
            traces = (entry.jobs[0].trace for entry in entries if entry.jobs)
            return filter(None, map(read_context, traces))

        try:
            with tracing().span(Span.FORWARD, self._channel, attributes, links=links):
                await self._settle(entries, epoch)
        finally:
            self._parts.held.let_go(len(entries), size)

    async def _settle(self, entries: Sequence[RoutedEntry], epoch: ChannelEpoch) -> None:
        refused = {refusal.entry_id: refusal for refusal in await self.add([e for e in entries if e.jobs], epoch)}
        letters = {entry.delivery.entry_id: entry.dead_letter for entry in entries if entry.dead_letter}
        # Once its dead letter is stored, no queue need note that it refused an entry.
        given_up = [RoutedEntry(letter.delivery) for letter in letters.values() if letter.delivery.deliveries > 1]
        for entry in entries:
            delivery = entry.delivery
            refusal = refused.get(delivery.entry_id)
            if refusal is None:
                continue
            if delivery.deliveries >= self._parts.router.delivery_limit:
                letters[delivery.entry_id] = DeadLetter(delivery, "ServerRefusedError", refusal.reason)
                given_up.append(RoutedEntry(delivery))
            else:
                self.refused.add(delivery.entry_id)
                self._parts.progress.refused(delivery, refusal)
        if letters:
            await self._parts.reader.store_dead(self._own.name, self._lease, letters)
        if given_up and epoch.queues:
            await self.add(given_up, epoch)
        left = letters.keys() | self.refused
        self.done += [entry.delivery.entry_id for entry in entries if entry.delivery.entry_id not in left]
        self._parts.progress.handed_over(entries, letters, self.refused & refused.keys())

    async def add(self, entries: Sequence[RoutedEntry], epoch: ChannelEpoch) -> Sequence[Refusal]:
        """Add jobs, for as long as it takes, or until it is time to stop."""
        while True:
            try:
                if self._lost:
                    await self._kept(self._lost.add_again())
                refused = await self._kept(self._parts.adder.add(self._own.name, entries, epoch)) if entries else ()
            except QueueBehindError as behind:
                self._lost.note_behind(behind)
            except TooManyRefusalsError:
                raise
            except ServerError as error:
                if self._own.is_stopping:
                    raise
                pause = self._parts.progress.failed(self._own.name, error, self._own.backoff)
                await self._own.lifecycle.rest(pause)
                await self.turn("renew")
            else:
                self.succeeded()
                return refused

    async def _kept(self, adding: Awaitable[ResultT]) -> ResultT:
        """Await what may take longer than the lease lasts, and renew that meanwhile."""
        added, keeping = asyncio.Event(), list[asyncio.Task[None]]()

        def keep() -> None:
            keeping.append(asyncio.create_task(self._keep_until(added), name=f"{self._own.name} lease"))

        # A timer costs less than a task, and nearly always the jobs are in before it is due.
        timer = asyncio.get_running_loop().call_later(self._renew_after, keep)
        try:
            return await adding
        finally:
            timer.cancel()
            added.set()
            for task in keeping:
                await task  # a turn that is under way acknowledges something

    async def _keep_until(self, added: asyncio.Event) -> None:
        """Renew the lease; if that fails, the next turn finds out as well."""
        with suppress(LeaseLostError, ServerError):
            while not added.is_set():
                await self.turn("renew")
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._renew_after):
                        await added.wait()

    def succeeded(self) -> None:
        """Note that the channel is well."""
        self._own.backoff.reset()
        self._parts.progress.succeeded(self._own.name)
