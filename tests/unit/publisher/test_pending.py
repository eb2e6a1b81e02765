"""A pending publish knows the outcome of its messages at any moment."""

import asyncio

from support.publishing import messages

from domainstream import Outcome, Receipt
from domainstream.publisher.pending import PendingPublish


async def test_receipts_of_a_settled_call_are_final() -> None:
    """A caller that is cancelled after its messages were settled, and before it woke, learns their outcome."""
    batch = messages("orders", 2)
    pending = PendingPublish(batch, asyncio.get_running_loop(), deadline=0)
    receipts = [Receipt(event_id=message.event_id, outcome=Outcome.PUBLISHED) for message in batch]
    pending.taken = 2
    pending.settle(0, receipts)
    assert pending.receipts_now() == receipts
