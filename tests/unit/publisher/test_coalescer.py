"""Concurrent publish calls share flushes, in order, within bounds."""

import asyncio

import pytest
from support.publishing import messages, outcomes
from support.senders import ALL, BrokenSender, GatedSender, coalescer, ticks

from domainstream import BatchLimits, Confirm, Outcome
from domainstream.producer import OutgoingMessage
from domainstream.publisher.pending import Flush


async def test_idle_publisher_sends_at_once() -> None:
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


async def test_calls_that_wait_for_other_replicas_do_not_share_a_flush() -> None:
    """Each flush waits for what its own calls ask for, and the channel keeps the order of the calls."""
    sender = GatedSender(letting_through=ALL)
    publisher = coalescer(sender)
    some = messages("orders", 6)
    wanted: list[Confirm | None] = [None, None, "all", 1, 1, None]
    calls = [publisher.publish([message], confirm) for message, confirm in zip(some, wanted, strict=True)]
    await asyncio.gather(*calls)
    assert sender.confirms == [None, "all", 1, None]
    assert [message for flush in sender.flushes for message in flush["orders"]] == some


async def test_flush_has_one_batch_per_channel() -> None:
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


async def test_batch_has_at_most_so_many_messages() -> None:
    """A call with more messages than a batch may hold is sent in several flushes, in order."""
    sender = GatedSender(letting_through=ALL)
    batch = messages("orders", 7)
    await coalescer(sender, BatchLimits(batch_messages=3)).publish(batch)
    assert [flush["orders"] for flush in sender.flushes] == [batch[:3], batch[3:6], batch[6:]]


async def test_flush_has_at_most_so_many_bytes() -> None:
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


async def test_full_publisher_makes_calls_wait() -> None:
    """Calls beyond the bound wait outside, and come in first come first served."""
    sender = GatedSender()
    publisher = coalescer(sender, BatchLimits(waiting_messages=2))
    calls = [asyncio.create_task(publisher.publish(messages("orders", 1))) for _ in range(6)]
    await ticks()
    assert publisher.waiting == 2
    sender.open()
    await asyncio.gather(*calls)
    assert publisher.waiting == 0


async def test_call_larger_than_the_bound_gets_through_alone() -> None:
    """A call with more messages than may wait is not stuck for ever."""
    sender = GatedSender(letting_through=ALL)
    receipts = await coalescer(sender, BatchLimits(waiting_messages=2)).publish(messages("orders", 9))
    assert outcomes(receipts) == {Outcome.PUBLISHED}


class CustomBaseError(BaseException):
    """An error that is not an `Exception`."""


@pytest.mark.parametrize("error", [RuntimeError, GeneratorExit, CustomBaseError])
async def test_bug_in_a_sender_leaves_no_call_waiting(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """When a sender raises, the callers get `unknown` receipts, it is reported, and the next flush is sent."""
    sender = BrokenSender(error)
    publisher = coalescer(sender)
    receipts = await publisher.publish(messages("orders", 2))
    await ticks()
    assert outcomes(receipts) == {Outcome.UNKNOWN}
    assert "publish.sender_failed" in caplog.text
    assert publisher.problem == f"a batch could not be sent because of a bug: {error.__name__}"
    sender.error = None
    assert outcomes(await publisher.publish(messages("orders", 2))) == {Outcome.PUBLISHED}
    assert publisher.problem == ""


async def test_bug_before_the_sender_leaves_no_call_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When messages cannot even be taken into a flush, the callers get `rejected` receipts, and it is reported."""
    publisher = coalescer(GatedSender(letting_through=ALL))
    with monkeypatch.context() as patched:
        patched.setattr(Flush, "_count_fitting", lambda *_: 1 // 0)
        receipts = await publisher.publish(messages("orders", 2))
    assert outcomes(receipts) == {Outcome.REJECTED}
    assert "publish.sender_failed" in caplog.text
    assert outcomes(await publisher.publish(messages("orders", 2))) == {Outcome.PUBLISHED}


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
