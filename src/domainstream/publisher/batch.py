"""One channel's part of one flush, and what became of it."""

from collections.abc import Sequence
from typing import Protocol

from domainstream.producer import OutgoingMessage
from domainstream.receipt import Outcome, Receipt


class Batch:
    """Messages of one channel that go to the server in one call."""

    __slots__ = ("channel", "messages", "receipts")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        """The channel of all messages."""
        self.messages: list[OutgoingMessage] = []
        """In the order in which they are to be stored."""
        self.receipts: list[Receipt] | None = None
        """One per message, once settled; None before."""

    def published(self, entry_ids: Sequence[str]) -> None:
        """Settle: the server has the entries."""
        self.receipts = [
            Receipt(event_id=message.event_id, outcome=Outcome.PUBLISHED, channel=self.channel, entry_id=entry_id)
            for message, entry_id in zip(self.messages, entry_ids, strict=True)
        ]

    def failed(self, outcome: Outcome, error: Exception) -> None:
        """Settle: `rejected` when it is certain that no entry exists, else `unknown`."""
        self.receipts = [
            Receipt(event_id=message.event_id, outcome=outcome, channel=self.channel, error=error)
            for message in self.messages
        ]


class BatchSender(Protocol):
    """Takes batches to the server. One call at a time; whoever made it closes it."""

    async def send(self, batches: Sequence[Batch], deadline: float) -> None:
        """Settle every batch, at the latest soon after `deadline` (on the event loop's clock).

        There is one batch per channel. Only cancellation raises, and leaves the batches under way without receipts.
        """
        ...
