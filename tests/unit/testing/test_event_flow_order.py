"""Jobs of one key are handled one after the other in a flow, as on a server."""

from datetime import timedelta

import pytest
from support.billing import Billing, billed_in_order, changed, history, producer
from support.event_flows import BEGIN

from domainstream.queue import JobSettings
from domainstream.subscriber import PARTITION_KEY, Subscriptions
from domainstream.testing.event_flow import EventFlow, FlowFailedError
from domainstream.worker import EventConsumer, GiveUp, RetryLater

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def billing_flow(billing: Billing, subscriptions: Subscriptions | None = None) -> EventFlow:
    """Return a flow from coding to billing."""
    return EventFlow(subscriptions or billed_in_order(), consumers=[billing.consumer], now=BEGIN)


async def test_what_comes_after_a_failure_waits_for_its_repeat() -> None:
    """A stay that is coded, coded again and cancelled is billed in that order, although its first bill fails once."""
    billing = Billing({("stay-1", "coded"): [ValueError("no tariff")]})
    async with billing_flow(billing) as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        await flow.settle()
    assert [status for _, status in billing.seen] == ["coded", "coded", "re-coded", "cancelled"]
    assert billing.bills["stay-1"] == ["coded", "re-coded", "cancelled"]


async def test_without_a_rule_a_failure_is_overtaken() -> None:
    """The same flow without `order_by` bills the stay once more after it was cancelled."""
    billing = Billing({("stay-1", "coded"): [ValueError("no tariff")]})
    async with billing_flow(billing, billed_in_order(order_by=None)) as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        await flow.settle()
    assert billing.bills["stay-1"][-1] == "coded"


async def test_other_keys_do_not_wait() -> None:
    """A stay whose bill fails holds up no other stay."""
    billing = Billing({("stay-1", "coded"): [ValueError("no tariff")]})
    async with billing_flow(billing) as flow:
        await producer(flow.publisher).publish_many([*history("stay-1"), *history("stay-2")])
        await flow.advance(timedelta())
        assert billing.bills == {"stay-2": ["coded", "re-coded", "cancelled"]}
        await flow.settle()
    assert billing.bills["stay-1"] == ["coded", "re-coded", "cancelled"]


async def test_retry_later_keeps_the_others_waiting() -> None:
    """A handler that asks for time gets it before the next of the key."""
    billing = Billing({("stay-1", "coded"): [RetryLater(HOUR)]})
    async with billing_flow(billing) as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        await flow.settle()
    assert [attempt.at - BEGIN for attempt in flow.attempts] == [0 * HOUR, HOUR, HOUR, HOUR]
    assert billing.bills["stay-1"] == ["coded", "re-coded", "cancelled"]


async def test_delay_counts_from_the_end_of_the_job_before() -> None:
    """Each job of a key begins its delay only when its turn has come."""
    billing = Billing()
    async with billing_flow(billing, billed_in_order(settings=JobSettings(delay=HOUR))) as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        await flow.settle()
    assert [attempt.at - BEGIN for attempt in flow.attempts] == [HOUR, 2 * HOUR, 3 * HOUR]


async def test_order_is_that_of_publishing_over_all_channels() -> None:
    """Events of several channels are handled as they were published, although each channel is read by itself."""
    billing = Billing()
    async with billing_flow(billing) as flow:
        for event in reversed(history("stay-1")):
            await producer(flow.publisher).publish(event)
        await flow.settle()
    assert billing.bills["stay-1"] == ["cancelled", "re-coded", "coded"]


async def test_partitions_of_a_queue_are_in_order() -> None:
    """Each key is in one partition, and is handled in order there."""
    stays = [f"stay-{number}" for number in range(5)]
    billing = Billing({(stay, "coded"): [ValueError()] for stay in stays}, partitions=4)
    async with billing_flow(billing, billed_in_order(order_by=PARTITION_KEY, partitions=4)) as flow:
        for stay in stays:
            await producer(flow.publisher).publish_many(history(stay))
        await flow.settle()
    assert len({job.queue for job in flow.jobs("billing")}) > 1
    assert billing.bills == {stay: ["coded", "re-coded", "cancelled"] for stay in stays}


async def test_event_that_comes_later_waits_too() -> None:
    """What is published while a job waits for its next attempt stays behind it."""
    billing = Billing({("stay-1", "coded"): [RetryLater(HOUR)]})
    async with billing_flow(billing) as flow:
        await producer(flow.publisher).publish(changed("stay-1", "coded"))
        await flow.advance(SECOND)
        await producer(flow.publisher).publish(changed("stay-1", "cancelled"))
        await flow.advance(SECOND)
        assert len(billing.seen) == 1
        await flow.settle()
    assert billing.bills["stay-1"] == ["coded", "cancelled"]


@pytest.mark.parametrize(("priority", "order"), [(0, "aaabbb"), (1, "ababab")])
async def test_keys_take_turns_only_with_a_priority(priority: int, order: str) -> None:
    """As in BullMQ, the next job of a key comes before all that wait, unless the jobs have a priority."""
    billing = Billing()
    async with billing_flow(billing, billed_in_order(settings=JobSettings(priority=priority))) as flow:
        await producer(flow.publisher).publish_many([*history("a"), *history("b")])
        await flow.settle()
    assert "".join(stay for stay, _ in billing.seen) == order


async def test_behind_a_job_that_failed_permanently_the_others_are_held() -> None:
    """The flow fails, says how many wait behind the job, and knows which."""
    billing = Billing({("stay-1", "coded"): [GiveUp("no such stay")]})
    async with billing_flow(billing) as flow:
        events = history("stay-1")
        await producer(flow.publisher).publish_many([*events, *history("stay-2")])
        with pytest.raises(FlowFailedError, match="no such stay; 2 jobs wait behind it") as failure:
            await flow.settle()
    assert [job.id for job in flow.held] == [f"event-{event.id}" for event in events[1:]]
    assert [list(job.held) for job in failure.value.failed] == [flow.held]
    assert "stay-1" not in billing.bills
    assert billing.bills["stay-2"] == ["coded", "re-coded", "cancelled"]


async def test_event_for_a_held_key_fails_the_test_again() -> None:
    """What is published later for the same key is not handled, so it cannot pass unnoticed."""
    billing = Billing({("stay-1", "coded"): [GiveUp("no such stay")]})
    async with billing_flow(billing) as flow:
        await producer(flow.publisher).publish(changed("stay-1", "coded"))
        await flow.settle(expect_failures=True)
        await flow.settle()
        await producer(flow.publisher).publish(changed("stay-1", "re-coded"))
        with pytest.raises(FlowFailedError, match="1 job waits behind it"):
            await flow.settle()
        await flow.settle()
    assert len(flow.held) == 1


async def test_with_skip_the_others_go_on() -> None:
    """A job that failed for good is stepped over, and nothing is held."""
    billing = Billing({("stay-1", "coded"): [GiveUp("no such stay")]})
    async with billing_flow(billing, billed_in_order(on_failure="skip")) as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        await flow.settle(expect_failures=True)
    assert billing.bills["stay-1"] == ["re-coded", "cancelled"]
    assert flow.held == []


async def test_with_skip_only_the_last_attempt_lets_the_others_pass() -> None:
    """An attempt that is followed by another one keeps its place."""
    billing = Billing({("stay-1", "coded"): [ValueError()] * 3})
    async with billing_flow(billing, billed_in_order(on_failure="skip")) as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        await flow.settle(expect_failures=True)
    assert [status for _, status in billing.seen] == ["coded", "coded", "coded", "re-coded", "cancelled"]


async def test_jobs_wait_behind_one_without_a_handler() -> None:
    """They do not overtake a job that waits for another build, and the failure says how many they are."""
    async with EventFlow(billed_in_order(), consumers=[EventConsumer("billing")]) as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        with pytest.raises(FlowFailedError, match=r"Use @consumer\.on.*; 2 jobs wait behind it"):
            await flow.settle()
    assert len(flow.attempts) == 1


async def test_repeats_are_in_order_too() -> None:
    """A job that fails when it is repeated is not overtaken by the repeats behind it."""
    billing = Billing()
    async with billing_flow(billing) as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        await flow.settle()
        billing.bills.clear()
        billing.errors["stay-1", "coded"] = [ValueError()]
        await flow.repeat()
    assert billing.bills["stay-1"] == ["coded", "re-coded", "cancelled"]


async def test_held_jobs_are_not_repeated() -> None:
    """What was completed before the failure is repeated, and what waits behind it still waits."""
    billing = Billing({("stay-1", "re-coded"): [GiveUp("no such code")]})
    async with billing_flow(billing) as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        await flow.settle(expect_failures=True)
        await flow.repeat()
    assert billing.bills["stay-1"] == ["coded", "coded"]
    assert len(flow.held) == 1


async def test_jobs_without_a_consumer_are_in_order_once_they_have_one() -> None:
    """A consumer that is added later gets the jobs of each key one after the other."""
    billing = Billing({("stay-1", "coded"): [ValueError()]})
    async with EventFlow(billed_in_order(), other_queues="keep") as flow:
        await producer(flow.publisher).publish_many(history("stay-1"))
        await flow.settle()
        flow.add_consumer(billing.consumer)
        await flow.settle()
    assert billing.bills["stay-1"] == ["coded", "re-coded", "cancelled"]
