"""One `publish` call while it waits."""

import asyncio
from collections.abc import Sequence

from domainstream.producer import OutgoingMessage
from domainstream.receipt import Outcome, Receipt


class Call:
    """The messages of one `publish` call and what became of them."""

    __slots__ = ("_receipts", "_unsettled", "deadline", "messages", "settled", "size", "taken")

    def __init__(self, messages: Sequence[OutgoingMessage], loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self.messages = messages
        """In the caller's order; they are taken into flushes from the front."""
        self.deadline = deadline
        """When to give up, on the event loop's clock."""
        self.size = len(messages[0].data) if len(messages) == 1 else sum([len(message.data) for message in messages])
        """Bytes of all messages."""
        self.taken = 0
        """How many of them have been taken."""
        self.settled: asyncio.Future[list[Receipt]] = loop.create_future()
        """Done with one receipt per message once all are known."""
        self._receipts: list[Receipt | None] = []
        self._unsettled = len(messages)

    def settle(self, start: int, receipts: list[Receipt]) -> None:
        """Note what became of the messages from `start` on; the last ones wake the caller."""
        self._unsettled -= len(receipts)
        if len(receipts) < len(self.messages):
            self._receipts = self._receipts or [None] * len(self.messages)
            self._receipts[start : start + len(receipts)] = receipts
        if not self._unsettled and not self.settled.done():
            self.settled.set_result(receipts if len(receipts) == len(self.messages) else self.receipts_now())

    def receipts_now(self) -> list[Receipt]:
        """Return the receipts so far: what is under way is `unknown`, what was never sent is `rejected`."""
        if self.settled.done() and not self.settled.cancelled():
            return self.settled.result()
        known = self._receipts or [None] * len(self.messages)
        return [receipt or self._unsettled_receipt(index) for index, receipt in enumerate(known)]

    def give_up(self) -> None:
        """Settle what was never taken: nobody will send it."""
        self.settle(self.taken, [self._unsettled_receipt(index) for index in range(self.taken, len(self.messages))])

    def _unsettled_receipt(self, index: int) -> Receipt:
        message = self.messages[index]
        outcome = Outcome.UNKNOWN if index < self.taken else Outcome.REJECTED
        return Receipt(event_id=message.event_id, outcome=outcome, channel=message.channel)
