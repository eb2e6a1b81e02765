"""A running subscriber notices when a failed job holds up the others of its key."""

import logging

import pytest
from redis.asyncio import Redis
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    BullJobs,
    OptimizationEvaluated,
    Streams,
    evaluated,
    running,
    until,
)
from support.working import Valuation

from domainstream.queue import JobSettings, job_id
from domainstream.queue.bullmq.order import BullMQOrder
from domainstream.subscriber import AGGREGATE, RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue
from domainstream.worker import EventContext, GiveUp


async def give_up(_: OptimizationEvaluated, __: EventContext) -> None:
    """Fail permanently."""
    raise GiveUp("no price")


async def test_key_that_becomes_held_is_logged_and_counted(
    redis_url: str, redis: Redis, streams: Streams, bull_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the queue, the key, the failed job, and how many wait; the count is in what `/ready` shows."""
    handler = to_queue("valuation", job="price-stay", order_by=AGGREGATE, settings=JobSettings(priority=1))
    subscriber = RedisBullMQStreamSubscriber.from_url(
        redis_url,
        group=GROUP,
        subscriptions=create_multiple_handlers({EVALUATED: [handler], CALCULATED: []}),
        prefix=streams.prefix,
        bull_prefix=bull_prefix,
    )
    order = BullMQOrder(redis, bull_prefix=bull_prefix)
    valuation = Valuation(redis_url, bull_prefix, BullJobs(redis, bull_prefix, "valuation"))
    events = [evaluated(aggregate_id="stay-1") for _ in range(3)]
    with caplog.at_level(logging.WARNING):
        async with running(subscriber):
            await until(lambda: order.state("valuation"))  # it looks after the queue: from now on it notices
            for event in events:
                await streams.add(event)
            await until(lambda: subscriber.stats.forwarded == 3)
            async with running(valuation.worker(give_up)):
                await until(lambda: subscriber.stats.held)
    (line,) = [text for text in caplog.messages if text.startswith("subscriber.key_held")]
    assert line == f"subscriber.key_held queue=valuation key=stay-1 job={job_id(events[0].id)} waiting=2"
    assert subscriber.stats.held == 1
