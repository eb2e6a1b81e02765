"""Concurrent publish calls share flushes, in order, within bounds."""

import asyncio
from collections.abc import Sequence

import pytest
from support.publishing import messages, outcomes

from domainstream import BatchLimits, Outcome, receipts_of
from domainstream.producer import OutgoingMessage
from domainstream.publisher.batch import Batch
from domainstream.publisher.coalescer import Coalescer

ALL = 1_000


class GatedSender:
    """A sender that publishes a flush when it is let through, and notes what each flush held."""

    def __init__(self, *, letting_through: int = 0) -> None:
        self.flushes: list[dict[str, list[OutgoingMessage]]] = []
        self.most_under_way = 0
        self._under_way = 0
        self._permits = asyncio.Semaphore(letting_through)

    def open(self) -> None:
        """Let through all that come."""
        for _ in range(ALL):
            self._permits.release()

    async def send(self, batches: Sequence[Batch], deadline: float) -> None:
        """Publish when let through."""
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        self.flushes.append({batch.channel: list(batch.messages) for batch in batches})
        await self._permits.acquire()
        for batch in batches:
            batch.published([f"1-{number}" for number in range(len(batch.messages))])
        self._under_way -= 1


class BrokenSender:
    """A sender with a mistake in it."""

    async def send(self, batches: Sequence[Batch], deadline: float) -> None:
        """Fail before anything is settled."""
        raise RuntimeError


async def ticks(number: int = 5) -> None:
    """Let every task that can run, run."""
    for _ in range(number):
        await asyncio.sleep(0)


def coalescer(sender: GatedSender | BrokenSender, limits: BatchLimits | None = None) -> Coalescer:
    """Make a coalescer that waits long."""
    return Coalescer(sender, limits or BatchLimits(), patience=60)


async def test_an_idle_publisher_sends_at_once() -> None:
    """A lone call is under way within the same turn of the loop, without any timer."""
    sender = GatedSender(letting_through=ALL)
    receipts = await coalescer(sender).publish(messages("orders", 1))
    assert outcomes(receipts) == {Outcome.PUBLISHED}
    assert len(sender.flushes) == 1


async def test_calls_gather_while_a_flush_is_under_way() -> None:
    """A hundred calls that come during a flush share the next one."""
    sender = GatedSender()
    publisher = coalescer(sender)
    first = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    others = [asyncio.create_task(publisher.publish(messages("orders", 1))) for _ in range(100)]
    await ticks()
    sender.open()
    await asyncio.gather(first, *others)
    assert [len(flush["orders"]) for flush in sender.flushes] == [1, 100]


async def test_one_flush_at_a_time() -> None:
    """There is never more than one flush under way, so no channel's order can be lost."""
    sender = GatedSender(letting_through=ALL)
    publisher = coalescer(sender, BatchLimits(batch_messages=3))
    await asyncio.gather(*(publisher.publish(messages("orders", 2)) for _ in range(20)))
    assert sender.most_under_way == 1


async def test_a_flush_has_one_batch_per_channel() -> None:
    """Messages of several channels go in one flush, a batch for each channel."""
    sender = GatedSender(letting_through=ALL)
    await coalescer(sender).publish(messages("orders", 2) + messages("invoices", 1) + messages("orders", 1))
    assert [{channel: len(batch) for channel, batch in flush.items()} for flush in sender.flushes] == [
        {"orders": 3, "invoices": 1}
    ]


async def test_receipts_follow_the_messages_of_mixed_channels() -> None:
    """Receipts stand in the order of the call's messages, whatever batches they went in."""
    sender = GatedSender(letting_through=ALL)
    mixed = [message for _ in range(4) for channel in ("orders", "invoices") for message in messages(channel, 1)]
    receipts = await coalescer(sender, BatchLimits(batch_messages=3)).publish(mixed)
    assert [receipt.event_id for receipt in receipts] == [message.event_id for message in mixed]


async def test_a_batch_has_at_most_so_many_messages() -> None:
    """A call with more messages than a batch may hold is sent in several flushes, in order."""
    sender = GatedSender(letting_through=ALL)
    batch = messages("orders", 7)
    await coalescer(sender, BatchLimits(batch_messages=3)).publish(batch)
    assert [flush["orders"] for flush in sender.flushes] == [batch[:3], batch[3:6], batch[6:]]


async def test_a_flush_has_at_most_so_many_bytes() -> None:
    """A flush ends before the message that would exceed its bytes; a larger message goes alone."""
    sender = GatedSender(letting_through=ALL)
    sizes = [40, 40, 40, 300, 10]
    batch = [OutgoingMessage("orders", str(number), b"x" * size) for number, size in enumerate(sizes)]
    await coalescer(sender, BatchLimits(batch_bytes=100)).publish(batch)
    assert [[len(message.data) for message in flush["orders"]] for flush in sender.flushes] == [
        [40, 40],
        [40],
        [300],
        [10],
    ]


async def test_a_full_publisher_makes_calls_wait() -> None:
    """Calls beyond the bound wait outside, and come in first come first served."""
    sender = GatedSender()
    publisher = coalescer(sender, BatchLimits(waiting_messages=2))
    calls = [asyncio.create_task(publisher.publish(messages("orders", 1))) for _ in range(6)]
    await ticks()
    assert publisher.waiting == 2
    sender.open()
    await asyncio.gather(*calls)
    assert publisher.waiting == 0


async def test_a_call_larger_than_the_bound_gets_through_alone() -> None:
    """A call with more messages than may wait is not stuck for ever."""
    sender = GatedSender(letting_through=ALL)
    receipts = await coalescer(sender, BatchLimits(waiting_messages=2)).publish(messages("orders", 9))
    assert outcomes(receipts) == {Outcome.PUBLISHED}


async def test_a_call_cancelled_before_its_flush_is_never_sent() -> None:
    """Messages of a call that is cancelled while gathering are rejected and not in any later flush."""
    sender = GatedSender()
    publisher = coalescer(sender)
    first = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    doomed = asyncio.create_task(publisher.publish(messages("orders", 2)))
    await ticks()
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await doomed
    sender.open()
    await first
    assert outcomes(receipts_of(cancelled.value)) == {Outcome.REJECTED}
    assert len(sender.flushes) == 1


async def test_a_call_cancelled_under_way_is_of_unknown_fate_and_still_sent() -> None:
    """Messages whose flush is under way are `unknown` to the cancelled caller; the flush itself goes on."""
    sender = GatedSender()
    publisher = coalescer(sender)
    doomed = asyncio.create_task(publisher.publish(messages("orders", 2)))
    beside = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await doomed
    sender.open()
    assert outcomes(await beside) == {Outcome.PUBLISHED}
    assert outcomes(receipts_of(cancelled.value)) == {Outcome.UNKNOWN}


async def test_a_call_cut_in_the_middle_tells_each_part() -> None:
    """Of a call cancelled between two flushes, the first part is published, the second unknown, the rest rejected."""
    sender = GatedSender(letting_through=1)
    publisher = coalescer(sender, BatchLimits(batch_messages=2))
    doomed = asyncio.create_task(publisher.publish(messages("orders", 6)))
    await ticks()
    assert len(sender.flushes) == 2
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await doomed
    sender.open()
    await publisher.drain()
    told = [receipt.outcome for receipt in receipts_of(cancelled.value)]
    assert told == [Outcome.PUBLISHED] * 2 + [Outcome.UNKNOWN] * 2 + [Outcome.REJECTED] * 2


async def test_a_call_cancelled_outside_is_never_sent() -> None:
    """A call that is cancelled while it waits for room is rejected, and those behind it come in."""
    sender = GatedSender()
    publisher = coalescer(sender, BatchLimits(waiting_messages=1))
    first = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    doomed = asyncio.create_task(publisher.publish(messages("orders", 1)))
    behind = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await doomed
    sender.open()
    await asyncio.gather(first, behind)
    assert outcomes(receipts_of(cancelled.value)) == {Outcome.REJECTED}
    assert len(sender.flushes) == 2


async def test_a_flush_cancelled_before_it_began_harms_no_later_call() -> None:
    """After all tasks were cancelled, as servers do at their end, calls are sent again and `drain` returns."""
    publisher = coalescer(GatedSender(letting_through=ALL))
    doomed = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks(1)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait([doomed])
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


async def test_a_mistake_in_a_sender_leaves_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """When a sender raises, the callers get `unknown` receipts and the mistake is logged."""
    receipts = await coalescer(BrokenSender()).publish(messages("orders", 2))
    assert outcomes(receipts) == {Outcome.UNKNOWN}
    assert "publish.sender_failed" in caplog.text


async def test_draining_waits_for_all() -> None:
    """`drain` returns when nothing is under way, gathering or outside any more."""
    sender = GatedSender()
    publisher = coalescer(sender, BatchLimits(waiting_messages=2))
    calls = [asyncio.create_task(publisher.publish(messages("orders", 1))) for _ in range(5)]
    await ticks()
    draining = asyncio.create_task(publisher.drain())
    await ticks()
    assert not draining.done()
    sender.open()
    await draining
    assert publisher.waiting == 0
    assert {outcome for call in calls for outcome in outcomes(await call)} == {Outcome.PUBLISHED}


async def test_draining_waits_for_what_a_cancelled_call_left_under_way() -> None:
    """`drain` waits for the flush of a caller that is gone."""
    sender = GatedSender()
    publisher = coalescer(sender)
    doomed = asyncio.create_task(publisher.publish(messages("orders", 1)))
    await ticks()
    doomed.cancel()
    draining = asyncio.create_task(publisher.drain())
    await ticks()
    assert not draining.done()
    sender.open()
    await draining


async def test_a_time_out_stays_a_time_out() -> None:
    """`asyncio.timeout` around a call raises TimeoutError, from which the receipts can be had."""
    publisher = coalescer(GatedSender())
    with pytest.raises(TimeoutError) as too_late:
        async with asyncio.timeout(0.01):
            await publisher.publish(messages("orders", 2))
    assert outcomes(receipts_of(too_late.value)) == {Outcome.UNKNOWN}


async def test_a_task_group_stays_a_task_group() -> None:
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
