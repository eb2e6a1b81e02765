"""Publishers with scripted outcomes, in place of one with a server."""

import asyncio
from collections.abc import Sequence

from domainstream import Confirm, Outcome, Receipt
from domainstream.errors import PublishCancelledError
from domainstream.health import Health
from domainstream.producer import OutgoingMessage


class ScriptedPublisher:
    """Gives the messages of each call the outcomes it was made with; implements `EventPublisher`."""

    def __init__(self, *outcomes: Outcome, error: Exception | None = None, cancelled: bool = False) -> None:
        """Repeat the last outcome, `published` by default; `error` is the cause of what went wrong."""
        self.calls: list[list[OutgoingMessage]] = []
        """The messages of each call."""
        self.confirms: list[Confirm | None] = []
        """How many replicas each call waits for."""
        self._outcomes = outcomes or (Outcome.PUBLISHED,)
        self._error = error
        self._cancelled = cancelled

    async def publish(self, messages: Sequence[OutgoingMessage], *, confirm: Confirm | None = None) -> list[Receipt]:
        """Note the messages and return, or raise, their receipts."""
        self.calls.append(list(messages))
        self.confirms.append(confirm)
        receipts = [self._receipt(number, message) for number, message in enumerate(messages)]
        if self._cancelled:
            raise asyncio.CancelledError from PublishCancelledError(receipts)
        return receipts

    async def health(self) -> Health:
        """Report good health."""
        return Health(ok=True)

    async def close(self) -> None:
        """Do nothing."""

    def _receipt(self, number: int, message: OutgoingMessage) -> Receipt:
        outcome = self._outcomes[min(number, len(self._outcomes) - 1)]
        published = outcome is Outcome.PUBLISHED
        return Receipt(
            event_id=message.event_id,
            outcome=outcome,
            channel=message.channel,
            entry_id=f"1700000000000-{number}" if published else None,
            error=None if published else self._error,
        )
