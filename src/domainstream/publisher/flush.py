"""One flush: a batch for each channel that has messages waiting. Made by `coalescer`."""

from collections import deque

from domainstream.errors import ServerUnavailableError
from domainstream.publisher.batch import Batch
from domainstream.publisher.call import Call
from domainstream.publisher.publisher_settings import BatchLimits
from domainstream.receipt import Outcome

Slot = tuple[Call, int]


class Flush:
    """What goes to the server in one round trip.

    Attributes:

        deadline: When to give up, on the event loop's clock: that of the message that came last.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self.deadline = 0.0
        self._limits = limits
        self._bytes = 0
        self._batches: dict[str, tuple[Batch, list[Slot]]] = {}

    @property
    def batches(self) -> list[Batch]:
        """One batch per channel."""
        return [batch for batch, _ in self._batches.values()]

    @classmethod
    def take(cls, calls: deque[Call], limits: BatchLimits) -> "Flush":
        """Take messages from the front of `calls` until one does not fit; calls that are wholly taken leave the deque."""
        flush = cls(limits)
        while calls and flush._take_from(calls[0]):
            calls.popleft()
        return flush

    def settle(self) -> None:
        """Hand each message's receipt to its call; what the sender left unsettled was cut off under way."""
        for batch, slots in self._batches.values():
            if batch.receipts is None:
                batch.failed(Outcome.UNKNOWN, ServerUnavailableError("the publisher was stopped with the batch under way"))
            for (call, index), receipt in zip(slots, batch.receipts or (), strict=True):
                call.settle(index, receipt)

    def _take_from(self, call: Call) -> bool:
        """Take messages of one call, and tell whether all of them are taken."""
        self.deadline = max(self.deadline, call.deadline)
        for index in range(call.taken, len(call.messages)):
            message = call.messages[index]
            entry = self._batches.get(message.channel) or (Batch(message.channel), [])
            size = len(message.data)
            if len(entry[1]) >= self._limits.batch_messages or 0 < self._bytes > self._limits.batch_bytes - size:
                return False
            self._batches[message.channel] = entry
            self._bytes += size
            entry[0].messages.append(message)
            entry[1].append((call, index))
            call.taken += 1
        return True
