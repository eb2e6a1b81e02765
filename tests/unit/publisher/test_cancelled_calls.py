"""Cancelled calls carry their receipts, and asyncio works as it does elsewhere."""

import asyncio

import pytest
from support.publishing import messages, outcomes
from support.senders import ALL, GatedSender, coalescer, ticks

from domainstream import BatchLimits, Outcome, Receipt, receipts_of
from domainstream.errors import ConfigurationError
from domainstream.publisher.pending import PendingPublish


async def test_call_cancelled_before_its_flush_is_never_sent() -> None:
    """Messages of a call that is cancelled while gathering are rejected and not in any later flush."""
    sender = GatedSender()
    publisher = coalescer(sender)
    first = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    deferred_failure = asyncio.create_task(publisher.publish(messages("orders", 2)))
    await ticks()
    deferred_failure.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await deferred_failure
    sender.open()
    await first
    assert outcomes(receipts_of(cancelled.value)) == {Outcome.REJECTED}
    assert len(sender.flushes) == 1


async def test_call_cancelled_under_way_is_of_unknown_fate_and_still_sent() -> None:
    """Messages whose flush is under way are `unknown` to the cancelled caller; the flush itself goes on."""
    sender = GatedSender()
    publisher = coalescer(sender)
    deferred_failure = asyncio.create_task(publisher.publish(messages("orders", 2)))
    beside = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    deferred_failure.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await deferred_failure
    sender.open()
    assert outcomes(await beside) == {Outcome.PUBLISHED}
    assert outcomes(receipts_of(cancelled.value)) == {Outcome.UNKNOWN}


async def test_call_cut_in_the_middle_tells_each_part() -> None:
    """Of a call cancelled between two flushes, the first part is published, the second unknown, the rest rejected."""
    sender = GatedSender(letting_through=1)
    publisher = coalescer(sender, BatchLimits(batch_messages=2))
    deferred_failure = asyncio.create_task(publisher.publish(messages("orders", 6)))
    await ticks()
    assert len(sender.flushes) == 2
    deferred_failure.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await deferred_failure
    sender.open()
    await publisher.drain()
    in_order = [receipt.outcome for receipt in receipts_of(cancelled.value)]
    assert in_order == [Outcome.PUBLISHED] * 2 + [Outcome.UNKNOWN] * 2 + [Outcome.REJECTED] * 2


async def test_call_cancelled_outside_is_never_sent() -> None:
    """A call that is cancelled while it waits for room is rejected, and those behind it come in."""
    sender = GatedSender()
    publisher = coalescer(sender, BatchLimits(waiting_messages=1))
    first = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    deferred_failure = asyncio.create_task(publisher.publish(messages("orders", 1)))
    behind = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    deferred_failure.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await deferred_failure
    sender.open()
    await asyncio.gather(first, behind)
    assert outcomes(receipts_of(cancelled.value)) == {Outcome.REJECTED}
    assert len(sender.flushes) == 2


async def test_flush_cancelled_before_it_began_harms_no_later_call() -> None:
    """After all tasks were cancelled, as servers do at their end, calls are sent again and `drain` returns."""
    publisher = coalescer(GatedSender(letting_through=ALL))
    deferred_failure = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks(1)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait([deferred_failure])
    receipts = await publisher.publish(messages("orders", 1))
    await publisher.drain()
    assert outcomes(receipts) == {Outcome.PUBLISHED}


async def test_draining_sends_for_a_flush_that_was_cancelled_before_it_began() -> None:
    """Callers that wait although their flush was cancelled are served by `drain`."""
    publisher = coalescer(GatedSender(letting_through=ALL))
    waiting = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks(1)
    for task in asyncio.all_tasks() - {asyncio.current_task(), waiting}:
        task.cancel()
    await ticks()
    await publisher.drain()
    assert outcomes(await waiting) == {Outcome.PUBLISHED}


async def test_draining_waits_for_what_a_cancelled_call_left_under_way() -> None:
    """`drain` waits for the flush of a caller that is gone."""
    sender = GatedSender()
    publisher = coalescer(sender)
    deferred_failure = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    deferred_failure.cancel()
    draining = asyncio.create_task(publisher.drain())
    await ticks()
    assert not draining.done()
    sender.open()
    await draining


async def test_time_out_stays_a_time_out() -> None:
    """`asyncio.timeout` around a call raises TimeoutError, from which the receipts can be had."""
    publisher = coalescer(GatedSender())
    with pytest.raises(TimeoutError) as too_late:
        async with asyncio.timeout(0.01):
            await publisher.publish(messages("orders", 2))
    assert outcomes(receipts_of(too_late.value)) == {Outcome.UNKNOWN}


async def test_task_group_stays_a_task_group() -> None:
    """A failure beside a call in a task group cancels the call, and the group raises that failure alone."""

    async def fail() -> None:
        await ticks()
        raise LookupError

    async def publish_and_fail() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(coalescer(GatedSender()).publish(messages("orders", 1)))
            tasks.create_task(fail())

    with pytest.raises(ExceptionGroup) as group:
        await publish_and_fail()
    assert [type(error) for error in group.value.exceptions] == [LookupError]


def test_publisher_belongs_to_one_event_loop() -> None:
    """A publisher that was used in one `asyncio.run` refuses to be used in the next, saying what to do."""
    publisher = coalescer(GatedSender(letting_through=ALL))
    asyncio.run(publisher.publish(messages("orders", 1)))
    with pytest.raises(ConfigurationError, match="make a client inside each"):
        asyncio.run(publisher.publish(messages("orders", 1)))


async def test_receipts_of_a_settled_call_are_final() -> None:
    """A caller that is cancelled after its messages were settled, and before it woke, learns their outcome."""
    batch = messages("orders", 2)
    pending = PendingPublish(batch, asyncio.get_running_loop(), deadline=0)
    receipts = [Receipt(event_id=message.event_id, outcome=Outcome.PUBLISHED) for message in batch]
    pending.taken = 2
    pending.settle(0, receipts)
    assert pending.receipts_now() == receipts
