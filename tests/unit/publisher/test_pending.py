"""A call tells what became of its messages at any moment."""

import asyncio

from support.publishing import messages

from domainstream import Outcome, Receipt
from domainstream.publisher.pending import Call


async def test_once_settled_the_receipts_are_those() -> None:
    """A caller that is cancelled after its messages were settled, and before it woke, learns their fate."""
    batch = messages("orders", 2)
    call = Call(batch, asyncio.get_running_loop(), deadline=0)
    receipts = [Receipt(event_id=message.event_id, outcome=Outcome.PUBLISHED) for message in batch]
    call.taken = 2
    call.settle(0, receipts)
    assert call.receipts_now() == receipts
