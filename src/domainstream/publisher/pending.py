"""What waits to be published: `publish` calls, and the flush that takes messages from them to the server.

A `PendingPublish` is one call of `publish`. A `Flush` is one round trip: it takes messages from the front of the
waiting calls and sorts them into one `Batch` per target, remembering which `Segment` of a batch belongs to which call,
so that each call gets its own receipts back.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from domainstream.channel.partitions import parse_target
from domainstream.errors import ServerUnavailableError
from domainstream.producer import OutgoingMessage
from domainstream.publisher.settings import BatchLimits
from domainstream.receipt import Outcome, Receipt
from domainstream.settings import Confirm


class Batch:
    """Messages with one target that go to the server in one script call, and their receipts."""

    __slots__ = ("channel", "messages", "receipts", "target")

    def __init__(self, target: str) -> None:
        self.target = target
        """Where all messages go: their channel, or a partition of it."""
        self.channel = parse_target(target).channel
        """The channel of all messages."""
        self.messages: list[OutgoingMessage] = []
        """In the order in which they are to be stored."""
        self.receipts: list[Receipt] | None = None
        """One per message, once settled; None before."""

    def published(self, entry_ids: Sequence[str], confirmed_by: int | None = None) -> None:
        """Settle: the server has the entries, and so have as many replicas."""
        self.receipts = [
            Receipt(
                event_id=message.event_id,
                outcome=Outcome.PUBLISHED,
                channel=self.channel,
                entry_id=entry_id,
                confirmed_by=confirmed_by,
            )
            for message, entry_id in zip(self.messages, entry_ids, strict=True)
        ]

    def failed(self, outcome: Outcome, error: Exception) -> None:
        """Settle: `rejected` when it is certain that no entry exists, else `unknown`."""
        self.receipts = [
            Receipt(event_id=message.event_id, outcome=outcome, channel=self.channel, error=error)
            for message in self.messages
        ]


class BatchSender(Protocol):
    """Sends batches to the server. One call at a time."""

    async def send(self, batches: Sequence[Batch], deadline: float, confirm: Confirm | None) -> None:
        """Settle every batch, at the latest soon after `deadline` (on the event loop's clock).

        `confirm` says how many replicas must have them; None waits for none. There is one batch per target. Only
        cancellation raises, and leaves the batches in flight without receipts.
        """
        ...

    async def close(self) -> None:
        """Disconnect; called once, with nothing in flight."""
        ...


class PendingPublish:
    """The messages of one `publish` call and their receipts."""

    __slots__ = ("_receipts", "_unsettled", "confirm", "deadline", "messages", "parts", "settled", "size", "taken")

    def __init__(
        self,
        messages: Sequence[OutgoingMessage],
        loop: asyncio.AbstractEventLoop,
        deadline: float,
        confirm: Confirm | None = None,
    ) -> None:
        self.messages = messages
        """In the caller's order; they are taken into flushes from the front."""
        self.deadline = deadline
        """When to give up, on the event loop's clock."""
        self.confirm: Confirm | None = confirm
        """How many replicas must have the messages; None if it waits for none of them."""
        self.size = len(messages[0].data) if len(messages) == 1 else sum([len(message.data) for message in messages])
        """Bytes of all messages."""
        self.taken = 0
        """How many of the messages have been taken."""
        self.settled: asyncio.Future[list[Receipt]] = loop.create_future()
        """Done, with one receipt per message, once the outcome of every message is known."""
        self.parts: tuple[PendingPart, ...] = ()
        """What went to several lanes; it settles this call."""
        self._receipts: list[Receipt | None] = []
        self._unsettled = len(messages)

    def part(self, indexes: Sequence[int]) -> "PendingPart":
        """Return a part of the messages, which are not to be taken from this call any more."""
        part = PendingPart(self, indexes)
        self.parts += (part,)
        return part

    def settle(self, start: int, receipts: list[Receipt]) -> None:
        """Note the receipts of the messages from `start` on; the last ones wake the caller."""
        self._unsettled -= len(receipts)
        if len(receipts) < len(self.messages):
            self._receipts = self._receipts or [None] * len(self.messages)
            self._receipts[start : start + len(receipts)] = receipts
        if not self._unsettled and not self.settled.done():
            self.settled.set_result(receipts if len(receipts) == len(self.messages) else self.receipts_now())

    def settle_some(self, indexes: Sequence[int], receipts: list[Receipt]) -> None:
        """Note the receipts of the messages with these indexes."""
        self._receipts = self._receipts or [None] * len(self.messages)
        for index, receipt in zip(indexes, receipts, strict=True):
            self._receipts[index] = receipt
        self._unsettled -= len(receipts)
        if not self._unsettled and not self.settled.done():
            self.settled.set_result(self.receipts_now())

    def receipts_now(self) -> list[Receipt]:
        """Return the receipts so far: what is in flight is `unknown`, what was never sent is `rejected`."""
        if self.settled.done() and not self.settled.cancelled():
            return self.settled.result()
        known = self._receipts or [None] * len(self.messages)
        taken = {*range(self.taken), *(index for part in self.parts for index in part.indexes[: part.taken])}
        return [
            receipt or self._receipt(index, Outcome.UNKNOWN if index in taken else Outcome.REJECTED)
            for index, receipt in enumerate(known)
        ]

    def give_up(self) -> None:
        """Settle what was never taken into a flush: it will not be sent."""
        left = range(self.taken, len(self.messages))
        self.settle(self.taken, [self._receipt(index, Outcome.REJECTED) for index in left])

    def _receipt(self, index: int, outcome: Outcome) -> Receipt:
        message = self.messages[index]
        return Receipt(event_id=message.event_id, outcome=outcome, channel=message.channel)


class PendingPart(PendingPublish):
    """Some messages of a call: those that go through one of several lanes."""

    __slots__ = ("_whole", "indexes")

    def __init__(self, whole: PendingPublish, indexes: Sequence[int]) -> None:
        messages = [whole.messages[index] for index in indexes]
        super().__init__(messages, whole.settled.get_loop(), whole.deadline, whole.confirm)
        self.indexes = indexes
        """Where the messages stand in the call."""
        self._whole = whole

    def part(self, indexes: Sequence[int]) -> "PendingPart":
        """Return another part of the same call."""
        return self._whole.part([self.indexes[index] for index in indexes])

    def settle(self, start: int, receipts: list[Receipt]) -> None:
        """Note the receipts in the call."""
        self._whole.settle_some(self.indexes[start : start + len(receipts)], receipts)


class Segment(NamedTuple):
    """Consecutive messages of one call that are next to each other in a batch."""

    pending: PendingPublish
    """The call."""

    start: int
    """The index of the first message in the call."""

    length: int
    """How many messages."""


class Flush:
    """What goes to the server in one round trip: a batch for each target of waiting messages.

    All of its calls wait for the same replicas, so that the receipts of each say what was confirmed for it.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self.deadline = 0.0
        """When to give up, on the event loop's clock: that of the call that came last."""
        self.confirm: Confirm | None = None
        """How many replicas must have it; None if it waits for none of them."""
        self._limits = limits
        self._bytes = 0
        self._batches: dict[str, tuple[Batch, list[Segment]]] = {}

    @property
    def batches(self) -> list[Batch]:
        """One batch per target."""
        return [batch for batch, _ in self._batches.values()]

    def take_from(self, waiting: deque[PendingPublish]) -> None:
        """Take messages from the front of `waiting` until one does not fit, or waits for other replicas.

        Calls wholly taken leave the deque.
        """
        if waiting:
            self.confirm = waiting[0].confirm
        while waiting and waiting[0].confirm == self.confirm and self._take_from(waiting[0]):
            waiting.popleft()

    def settle(self) -> None:
        """Give the receipts to their calls; what the sender left unsettled was interrupted in flight."""
        for batch, segments in self._batches.values():
            if batch.receipts is None:
                batch.failed(
                    Outcome.UNKNOWN, ServerUnavailableError("the publisher was stopped while the batch was in flight")
                )
            receipts, settled = batch.receipts or [], 0
            for pending, start, length in segments:
                pending.settle(start, receipts[settled : settled + length])
                settled += length

    def _take_from(self, pending: PendingPublish) -> bool:
        """Take messages of one call, and return whether all of them are taken."""
        self.deadline = max(self.deadline, pending.deadline)
        while pending.taken < len(pending.messages):
            start = pending.taken
            target = pending.messages[start].target
            batch, segments = self._batches.get(target) or (Batch(target), [])
            count = self._count_fitting(pending, batch)
            if not count:
                return False
            self._batches[target] = (batch, segments)
            batch.messages += pending.messages[start : start + count]
            segments.append(Segment(pending, start, count))
            pending.taken += count
        return True

    def _count_fitting(self, pending: PendingPublish, batch: Batch) -> int:
        """Count how many of the call's next messages have the batch's target and fit."""
        left = self._limits.batch_messages - len(batch.messages)
        count = 0
        for message in pending.messages[pending.taken : pending.taken + left]:
            size = len(message.data)
            if message.target != batch.target or (self._bytes and self._bytes + size > self._limits.batch_bytes):
                break
            self._bytes += size
            count += 1
        return count
