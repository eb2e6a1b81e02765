"""Hands the events of one stream over to its queues, in order, while other instances may do the same for others.

One task for each channel, or each partition of one, which is called a channel here too. It reads from top to bottom:
take the lease, announce that to the queues, hand over what earlier owners have left, then what is new. Whatever goes
wrong ends the epoch, and the next one begins at the top: nothing that was read is acknowledged before its jobs are in.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from domainstream.errors import ServerError
from domainstream.lifecycle import Lifecycle, cancel_and_wait
from domainstream.queue import RoutedEntry
from domainstream.queue.port import ChannelEpoch, TooManyRefusalsError
from domainstream.retrying import Backoff
from domainstream.stream.lease import Lease, LeaseHeldError, LeaseLostError
from domainstream.stream.port import Read
from domainstream.stream.reader.batch_size import AdaptiveBatchSize
from domainstream.subscriber.lost_jobs import LostJobs
from domainstream.subscriber.parts import HandOverParts, OneChannel
from domainstream.subscriber.settling import FIRST, Settling
from domainstream.subscriber.stream_shares import Share

LOOK: Final = timedelta(seconds=5)
"""How long a channel is left alone when nothing wakes it, unless its lease has to be renewed sooner."""

ACKNOWLEDGE_WITHIN: Final = 1.0
"""Seconds after which entries are acknowledged although no turn was due. If this instance dies before, the next one
finds them pending, and by the queues' marks that they are done.
"""


class ChannelHandOver:
    """The task of one channel."""

    def __init__(self, channel: str, parts: HandOverParts, lifecycle: Lifecycle, share: Share | None = None) -> None:
        """Work with `parts` until `lifecycle` stops, while the channel is this instance's share, if it has shares."""
        self.channel = channel
        """The channel."""
        self.share = share or Share()
        """Whether this instance is to have the channel."""
        self._own = OneChannel(name=channel, share=self.share, lifecycle=lifecycle, backoff=Backoff())
        self._parts = parts
        self._least_epoch = 0
        self._again = False

    async def run(self) -> None:
        """Hand over until the lifecycle stops; what was read is handed over first, if the servers answer."""
        stopping = self._own.lifecycle.stopping
        while not stopping.is_set():
            if not self.share.is_mine:
                self._parts.progress.succeeded(self.channel)
                await self.share.wait()
                continue
            try:
                await self._have()
            except LeaseHeldError as held:
                self._parts.progress.succeeded(self.channel)
                await self._own.lifecycle.rest(self.share.pause_for(held))
            except LeaseLostError as lost:
                self._parts.progress.interrupted(self.channel, lost)
                await self._own.lifecycle.rest(self._own.backoff.next())
            except TooManyRefusalsError as error:
                self._parts.progress.failed(self.channel, error, self._own.backoff)
                self._again = True  # so that what is refused again and again becomes a dead letter
                await self._own.lifecycle.rest(self._parts.reading.claim_after.total_seconds() / 2)
            except ServerError as error:
                await self._own.lifecycle.rest(self._parts.progress.failed(self.channel, error, self._own.backoff))

    async def _have(self) -> None:
        """Take the lease, and hand over as long as it lasts."""
        parts = self._parts
        lease = await parts.reader.take(self.channel, least_epoch=self._least_epoch)
        epoch, fenced = await parts.adder.fence(self.channel, lease, parts.router.queues_of(self.channel))
        self._least_epoch = max([0, *(said.higher + 1 for said in fenced.values() if said.higher)])
        if self._least_epoch:
            raise LeaseLostError(f"{self.channel}: a queue knows of a later owner")
        lost = LostJobs(self.channel, lease, epoch, parts)
        lost.compare(fenced)
        again, self._again = self._again, False
        await Ownership(self._own, lease, epoch, lost, parts).run(again=again)


class Ownership:
    """A channel, from one take of its lease to the next."""

    def __init__(
        self, own: OneChannel, lease: Lease, epoch: ChannelEpoch, lost: LostJobs, parts: HandOverParts
    ) -> None:
        self._own, self._rang = own, own.share.rang
        self._lease, self._epoch, self._lost, self._parts = lease, epoch, lost, parts
        self._claimed = ChannelEpoch(mark=epoch.mark, epoch=epoch.epoch, queues=epoch.queues, is_ordered=False)
        self._settling = Settling(own, lease, epoch, lost, parts)
        self._size = AdaptiveBatchSize(parts.reading)
        self._read_to = lease.last_delivered
        self._sweep_pause = parts.reading.claim_after.total_seconds() / 2
        self._next_sweep = float("inf")

    async def run(self, *, again: bool) -> None:
        """Hand over what is pending, then what is new, until it is time to stop; then give the lease up.

        Entries that are pending are delivered `again`, or if another instance had them.
        """
        try:
            if self._lost:
                await self._settling.add([], self._epoch)
            await self._hand_over_pages("pending" if self._lease.is_resumed and not again else "retry")
            await self._hand_over_pages("claim")
            self._next_sweep = self._now() + self._sweep_pause
            await self._hand_over_new()
        except ServerError:
            if self._own.is_stopping:
                with suppress(ServerError, LeaseLostError):
                    await self._settling.turn("release")
            raise
        await self._settling.turn("release")

    async def _hand_over_new(self) -> None:
        """While jobs are being added, the next entries are read, if there are likely to be more."""
        under_way: asyncio.Task[None] | None = None
        try:
            while not self._own.is_stopping:
                if under_way is None and self._now() >= self._next_sweep:
                    await self._sweep()
                self._rang.clear()
                entries, may_be_more = await self._read_new()
                if under_way is not None:
                    await under_way
                    under_way = None
                settling = self._settling.settle(entries, self._epoch)
                if may_be_more:
                    under_way = asyncio.create_task(settling, name=f"{self._own.name} jobs")
                else:
                    await settling
                    await self._rest()
            if under_way is not None:
                await under_way
        finally:
            if under_way is not None:
                await cancel_and_wait(under_way)
                if not under_way.cancelled():
                    under_way.exception()  # retrieved: why the epoch ends is known already

    async def _read_new(self) -> tuple[list[RoutedEntry], bool]:
        """Return new entries, and whether there are likely to be more."""
        count = self._parts.held.reserve(self._size.count)
        try:
            turn = await self._settling.turn("new", after=self._read_to, count=count)
        finally:
            self._parts.held.free(count)
        self._settling.succeeded()
        self._size.learn(turn.deliveries)
        if turn.deliveries:
            self._read_to = turn.deliveries[-1].entry_id
        may_be_more = len(turn.deliveries) >= count and self._now() < self._next_sweep
        return self._parts.router.route(turn.deliveries), may_be_more

    async def _rest(self) -> None:
        """Wait until something rings, or for a while; what is done is acknowledged with the next turn, or soon."""
        if self._settling.done and not await self._rings_within(ACKNOWLEDGE_WITHIN):
            await self._settling.turn("renew")
        await self._rings_within(min(LOOK, self._parts.reading.lease / 2).total_seconds())

    async def _rings_within(self, seconds: float) -> bool:
        """Wait at most until the next sweep; return whether something rang, or it is time to stop."""
        if not self._own.is_stopping and not self._rang.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(seconds, self._next_sweep - self._now()))):
                    await self._rang.wait()
        return self._own.is_stopping or self._rang.is_set()

    async def _sweep(self) -> None:
        """Claim what consumers of other names have abandoned, and try again what was refused."""
        self._next_sweep = self._now() + self._sweep_pause
        await self._hand_over_pages("claim")
        if self._settling.refused:
            self._settling.refused.clear()
            await self._hand_over_pages("retry")

    async def _hand_over_pages(self, read: Read) -> None:
        """Hand over what is pending, page by page."""
        epoch, after = self._claimed if read == "claim" else self._epoch, FIRST
        while not self._own.is_stopping:
            turn = await self._settling.turn(read, after=after, count=self._size.count)
            self._size.learn(turn.deliveries)
            if turn.deliveries:
                after = turn.deliveries[-1].entry_id
                if read == "claim":
                    self._parts.progress.reclaimed(self._own.name, len(turn.deliveries))
                await self._settling.settle(self._parts.router.route(turn.deliveries), epoch)
            elif not turn.deleted:
                break

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
