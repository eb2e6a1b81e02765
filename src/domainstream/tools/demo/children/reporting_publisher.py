"""Decorates a publisher, so that it reports what it publishes."""

from collections.abc import Sequence

from domainstream.health import Health
from domainstream.producer import EventPublisher, OutgoingMessage
from domainstream.receipt import Outcome, Receipt
from domainstream.tools.demo.children.reporter import Reporter
from domainstream.tools.demo.reports import Published


class ReportingPublisher:
    """An `EventPublisher` that reports each message."""

    def __init__(self, publisher: EventPublisher, reporter: Reporter) -> None:
        self._publisher = publisher
        self._reporter = reporter

    async def publish(self, messages: Sequence[OutgoingMessage]) -> list[Receipt]:
        """Publish `messages` and report each."""
        receipts = await self._publisher.publish(messages)
        for message, receipt in zip(messages, receipts, strict=True):
            self._report(message.channel, receipt)
        return receipts

    async def health(self) -> Health:
        """Return the health of the decorated publisher."""
        return await self._publisher.health()

    async def close(self) -> None:
        """Close the decorated publisher."""
        await self._publisher.close()

    def _report(self, channel: str, receipt: Receipt) -> None:
        pending = self._reporter.pending
        if receipt.outcome is Outcome.PUBLISHED:
            pending.published.append(Published(channel, receipt.event_id))
        else:
            pending.failures.append(f"event {receipt.event_id} for {channel} is {receipt.outcome}: {receipt.error}")
