"""An `EventFlow` handles the jobs of each key in the order in which a server and a worker do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.billing import Billing, billed_in_order, changed, producer
from support.consuming import GROUP, BullJobs, Streams, running, until

from domainstream.queue import JobSettings
from domainstream.subscriber import RedisBullMQStreamSubscriber, Subscriptions
from domainstream.testing.event_flow import EventFlow
from domainstream.worker import EventWorker, GiveUp, RetryLater

SHORT = timedelta(milliseconds=30)
SETTINGS = JobSettings(attempts=3, backoff=SHORT, jitter=0, priority=1)
STAYS = [f"stay-{number}" for number in range(5)]
STATUSES = ["coded", "re-coded", "re-coded", "cancelled", "coded"]
EVENTS = [changed(stay, status) for status in STATUSES for stay in STAYS]


def billing() -> Billing:
    """Return handlers with every kind of trouble: a stay whose jobs fail, take their time, or fail permanently."""
    return Billing(
        {
            ("stay-0", "coded"): [ValueError()],
            ("stay-1", "re-coded"): [RetryLater(SHORT), ValueError(), RetryLater(SHORT)],
            ("stay-2", "re-coded"): [GiveUp("no such stay")],
            ("stay-3", "re-coded"): [ValueError()] * 3,
        }
    )


async def in_memory(handlers: Billing, subscriptions: Subscriptions) -> list[str]:
    """Handle the events in a flow; return the ids of the jobs that are held in the end."""
    async with EventFlow(subscriptions, consumers=[handlers.consumer]) as flow:
        await producer(flow.publisher).publish_many(EVENTS)
        await flow.settle(expect_failures=True)
    return [job.id for job in flow.held]


class OnServer:
    """The same on a server."""

    def __init__(self, redis_url: str, redis: Redis, prefix: str) -> None:
        self.jobs = BullJobs(redis, f"{prefix}bull", "billing")
        self._url, self._streams, self._bull_prefix = redis_url, Streams(redis, prefix), f"{prefix}bull"

    @asynccontextmanager
    async def handling(self, handlers: Billing, subscriptions: Subscriptions, **settings: Any) -> AsyncIterator[None]:
        """Let a worker handle the events while the block runs, all of whose jobs have been added before."""
        for event in EVENTS:
            await self._streams.add(event)
        subscriber = RedisBullMQStreamSubscriber.from_url(
            self._url,
            group=GROUP,
            subscriptions=subscriptions,
            prefix=self._streams.prefix,
            bull_prefix=self._bull_prefix,
        )
        worker = EventWorker.from_url(self._url, handlers.consumer, bull_prefix=self._bull_prefix, **settings)
        async with running(subscriber):
            await until(lambda: self.are_all("wait", "prioritized", "waiting-children"))
            async with running(worker):
                yield

    async def are_all(self, *states: str) -> bool:
        """Return whether the jobs of all events are in these states."""
        return sum([len(await self.jobs.ids(state)) for state in states]) == len(EVENTS)


@pytest.fixture
def server(redis_url: str, redis: Redis, stream_prefix: str) -> OnServer:
    """The server."""
    return OnServer(redis_url, redis, stream_prefix)


def by_stay(handlers: Billing) -> dict[str, list[str]]:
    """Return the changes of each stay, one for each attempt."""
    return {stay: [status for seen, status in handlers.seen if seen == stay] for stay in STAYS}


@pytest.mark.parametrize("on_failure", ["hold", "skip"])
async def test_flow_and_worker_take_the_jobs_of_a_key_in_one_order(on_failure: str, server: OnServer) -> None:
    """The attempts at each stay are the same ones, and the same jobs are held in the end."""
    subscriptions = billed_in_order(settings=SETTINGS, on_failure=on_failure)
    expected, handlers = billing(), billing()
    held = await in_memory(expected, subscriptions)
    async with server.handling(handlers, subscriptions):
        await until(lambda: len(handlers.seen) >= len(expected.seen))
        await until(lambda: server.are_all("completed", "failed", "waiting-children"))
    assert by_stay(handlers) == by_stay(expected)
    assert handlers.bills == expected.bills
    assert sorted(await server.jobs.ids("waiting-children")) == sorted(held)
    assert len(held) == (6 if on_failure == "hold" else 0)


@pytest.mark.parametrize("priority", [0, 1])
async def test_flow_and_one_worker_take_the_jobs_of_all_keys_in_one_order(priority: int, server: OnServer) -> None:
    """A worker that handles one job at a time changes from key to key where a flow does."""
    subscriptions = billed_in_order(settings=JobSettings(priority=priority))
    expected, handlers = Billing(), Billing()
    await in_memory(expected, subscriptions)
    async with server.handling(handlers, subscriptions, concurrency=1):
        await until(lambda: len(handlers.seen) == len(EVENTS))
    assert handlers.seen == expected.seen
