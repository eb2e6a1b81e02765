"""One `publish` call while it waits. Used by `coalescer`."""

import asyncio
from collections.abc import Sequence

from domainstream.errors import PublishCancelledError
from domainstream.producer import OutgoingMessage
from domainstream.receipt import Outcome, Receipt


class Call:
    """The messages of one `publish` call and what became of them.

    Attributes:

        messages: In the caller's order; they are taken into flushes from the front.

        taken: How many of them have been taken.

        deadline: When to give up, on the event loop's clock.

        size: Bytes of all messages.
    """

    __slots__ = ("_done", "_receipts", "_unsettled", "deadline", "messages", "size", "taken")

    def __init__(self, messages: Sequence[OutgoingMessage], deadline: float) -> None:
        self.messages = messages
        self.deadline = deadline
        self.size = sum(len(message.data) for message in messages)
        self.taken = 0
        self._unsettled = len(messages)
        self._receipts: list[Receipt | None] = [None] * len(messages)
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, index: int, receipt: Receipt) -> None:
        """Note what became of one message; the last one wakes the caller."""
        self._receipts[index] = receipt
        self._unsettled -= 1
        if not self._unsettled and not self._done.done():
            self._done.set_result(None)

    async def receipts(self) -> list[Receipt]:
        """Wait until every message is settled, raising `PublishCancelledError` when the caller is cancelled."""
        try:
            await self._done
        except asyncio.CancelledError:
            raise PublishCancelledError(self.receipts_now()) from None
        return self.receipts_now()

    def receipts_now(self) -> list[Receipt]:
        """Return the receipts so far: what is under way is `unknown`, what was never sent is `rejected`."""
        return [receipt or self._unsettled_receipt(index) for index, receipt in enumerate(self._receipts)]

    def give_up(self) -> None:
        """Settle what was never taken: nobody will send it."""
        for index in range(self.taken, len(self.messages)):
            self.settle(index, self._unsettled_receipt(index))

    def _unsettled_receipt(self, index: int) -> Receipt:
        message = self.messages[index]
        outcome = Outcome.UNKNOWN if index < self.taken else Outcome.REJECTED
        return Receipt(event_id=message.event_id, outcome=outcome, channel=message.channel)
