"""One flush: a batch for each channel that has messages waiting."""

from collections import deque
from typing import Self

from domainstream.errors import ServerUnavailableError
from domainstream.publisher.batch import Batch
from domainstream.publisher.pending import Call
from domainstream.publisher.settings import BatchLimits
from domainstream.receipt import Outcome

Run = tuple[Call, int, int]
"""Messages of one call that stand together in a batch: the call, the first one's index, how many."""


class Flush:
    """What goes to the server in one round trip."""

    def __init__(self, limits: BatchLimits) -> None:
        self.deadline = 0.0
        """When to give up, on the event loop's clock: that of the message that came last."""
        self._limits = limits
        self._bytes = 0
        self._batches: dict[str, tuple[Batch, list[Run]]] = {}

    @property
    def batches(self) -> list[Batch]:
        """One batch per channel."""
        return [batch for batch, _ in self._batches.values()]

    @classmethod
    def take(cls, calls: deque[Call], limits: BatchLimits) -> Self:
        """Take messages from the front of `calls` until one does not fit; calls wholly taken leave the deque."""
        flush = cls(limits)
        while calls and flush._take_from(calls[0]):
            calls.popleft()
        return flush

    def settle(self) -> None:
        """Hand the receipts to their calls; what the sender left unsettled was cut off under way."""
        for batch, runs in self._batches.values():
            if batch.receipts is None:
                batch.failed(
                    Outcome.UNKNOWN, ServerUnavailableError("the publisher was stopped while it was under way")
                )
            receipts, settled = batch.receipts or [], 0
            for call, start, count in runs:
                call.settle(start, receipts[settled : settled + count])
                settled += count

    def _take_from(self, call: Call) -> bool:
        """Take messages of one call, and tell whether all of them are taken."""
        self.deadline = max(self.deadline, call.deadline)
        while call.taken < len(call.messages):
            start = call.taken
            batch, runs = self._batches.get(call.messages[start].channel) or (Batch(call.messages[start].channel), [])
            count = self._fitting(call, batch)
            if not count:
                return False
            self._batches[batch.channel] = (batch, runs)
            batch.messages += call.messages[start : start + count]
            runs.append((call, start, count))
            call.taken += count
        return True

    def _fitting(self, call: Call, batch: Batch) -> int:
        """Count how many of the call's next messages go to the batch's channel and fit in."""
        room = self._limits.batch_messages - len(batch.messages)
        count = 0
        for message in call.messages[call.taken : call.taken + room]:
            size = len(message.data)
            if message.channel != batch.channel or (self._bytes and self._bytes + size > self._limits.batch_bytes):
                break
            self._bytes += size
            count += 1
        return count
