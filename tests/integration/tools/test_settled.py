"""`settled` returns once nothing of a transaction is open, in whichever service it is."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import MetaData, insert
from sqlalchemy.ext.asyncio import create_async_engine
from support.consuming import (
    CALCULATED,
    EVALUATED,
    CalculatedPayload,
    OptimizationEvaluated,
    PricingCalculated,
    Streams,
    evaluated,
    message,
    running,
    until,
)

from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.outbox.sql.tables import outbox_table
from domainstream.queue import JobSettings
from domainstream.subscriber import (
    AGGREGATE,
    RedisBullMQStreamSubscriber,
    Subscriptions,
    create_multiple_handlers,
    to_queue,
)
from domainstream.tools.settled import NotSettledError, Settled, settled
from domainstream.worker import EventConsumer, EventContext, EventWorker, GiveUp

SOON = timedelta(milliseconds=300)


def subscriptions() -> Subscriptions:
    """Return who prices an evaluation, and who bills that."""
    price = to_queue("valuation", job="price-stay", settings=JobSettings(attempts=1), order_by=AGGREGATE)
    return create_multiple_handlers({EVALUATED: [price], CALCULATED: [to_queue("billing", job="bill-stay")]})


class Services:
    """The services of one test: a subscriber, one that prices and publishes, and one that bills."""

    def __init__(self, redis: Redis, url: str, prefix: str) -> None:
        self.streams = Streams(redis, prefix)
        self.url, self.prefix, self.bull = url, prefix, f"{prefix}bull"
        self.billed: list[str] = []
        self.refused: set[str] = set()

    def subscriber(self) -> RedisBullMQStreamSubscriber:
        """Return the subscriber."""
        return RedisBullMQStreamSubscriber.from_url(
            self.url, group="all", subscriptions=subscriptions(), prefix=self.prefix, bull_prefix=self.bull
        )

    def workers(self) -> list[EventWorker]:
        """Return the workers of both services."""
        valuation, billing = EventConsumer("valuation"), EventConsumer("billing")

        @valuation.on(OptimizationEvaluated)
        async def price_stay(event: OptimizationEvaluated, _context: EventContext) -> None:
            if event.id in self.refused:
                raise GiveUp("no tariff")
            correlation_id = event.correlation_id or event.id
            payload = CalculatedPayload(price=7)
            await self.streams.add(
                PricingCalculated(aggregate_id="price-1", payload=payload, correlation_id=correlation_id)
            )

        @billing.on(PricingCalculated)
        async def bill_stay(event: PricingCalculated, _context: EventContext) -> None:
            await asyncio.sleep(0.05)
            self.billed.append(event.id)

        return [EventWorker.from_url(self.url, each, bull_prefix=self.bull) for each in (valuation, billing)]

    async def settled(self, correlation_id: str, **arguments: Any) -> Settled:
        """Wait until a transaction is settled."""
        return await settled(correlation_id, redis_url=self.url, prefix=self.prefix, bull_prefix=self.bull, **arguments)

    async def not_settled(self, correlation_id: str, **arguments: Any) -> str:
        """Return why a transaction is not settled soon."""
        with pytest.raises(NotSettledError) as caught:
            await self.settled(correlation_id, timeout=SOON, **arguments)
        return str(caught.value)

    async def subscribe(self) -> None:
        """Let the subscriber run for long enough to create its groups."""
        async with running(subscriber := self.subscriber()):
            await self.streams.add(evaluated())
            await until(lambda: subscriber.stats.forwarded)


@pytest.fixture
def services(redis: Redis, redis_url: str, stream_prefix: str) -> Services:
    """Services that do not run."""
    return Services(redis, redis_url, stream_prefix)


async def test_whole_transaction_is_waited_for(services: Services) -> None:
    """It has ended when the job of the last event that it led to has ended."""
    event = evaluated()
    async with AsyncExitStack() as stack:
        for program in (services.subscriber(), *services.workers()):
            await stack.enter_async_context(running(program))
        await services.streams.add(event)
        found = await services.settled(event.id)
    assert len(services.billed) == 1
    assert found == Settled(events=2)


async def test_unread_entry_is_open(services: Services) -> None:
    """What a group has not read yet is named by its entry, its channel and the group."""
    await services.subscribe()
    event = evaluated()
    entry = await services.streams.add(event)
    assert f"entry {entry} of {EVALUATED.value} is not read by the group all" in await services.not_settled(event.id)


async def test_job_without_a_worker_is_open(services: Services) -> None:
    """A job that waits is named by its name and its queue."""
    event = evaluated()
    async with running(services.subscriber()):
        await services.streams.add(event)
        problem = await services.not_settled(event.id)
    assert f"job price-stay (event-{event.id}) of the queue valuation is wait" in problem


async def test_nothing_published_is_not_settled(services: Services) -> None:
    """A transaction without an event has not begun, and the error says what may be wrong."""
    assert "none of its events was published" in await services.not_settled("nobody")


async def test_failed_job_and_those_behind_it_are_reported(services: Services) -> None:
    """A job that failed permanently, and one that it holds, do not go on by themselves: nobody waits for them."""
    first, second = (evaluated(correlation_id="stay-7") for _ in range(2))
    services.refused.add(first.id)
    async with AsyncExitStack() as stack:
        for program in (services.subscriber(), *services.workers()):
            await stack.enter_async_context(running(program))
        await services.streams.add(first)
        await services.streams.add(second)
        found = await services.settled("stay-7")
    assert [job.job_id for job in found.failed] == [f"event-{first.id}"]
    assert [job.job_id for job in found.held] == [f"event-{second.id}"]


async def test_row_of_an_outbox_is_open(services: Services, tmp_path: Path) -> None:
    """An event that its relay has not published is named, and those of other transactions are not."""
    url = f"sqlite+aiosqlite:///{tmp_path}/coding.db"
    engine, table = create_async_engine(url), outbox_table(MetaData())
    event, other = evaluated(correlation_id="stay-7"), evaluated()
    async with engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        for each in (event, other):
            row = {"event_id": each.id, "channel": EVALUATED.value, "partition_key": "", "data": message(each)}
            await connection.execute(insert(table).values(**row))
    await engine.dispose()
    await services.streams.add(evaluated(correlation_id="stay-7"))
    database = OutboxDatabase.from_url(url)
    try:
        problem = await services.not_settled("stay-7", outboxes=[database.inspection])
    finally:
        await database.close()
    assert f"event {event.id} waits in an outbox" in problem
    assert other.id not in problem


class LateEvents:
    """An outbox without rows; an event is published just before the second look at it."""

    def __init__(self, services: Services, late: OptimizationEvaluated) -> None:
        self._services, self._late, self._looks = services, late, 0

    async def waiting(self, correlation_id: str) -> list[str]:
        """Return none."""
        self._looks += 1
        if self._looks == 2:
            await self._services.streams.add(self._late)
        return []


async def test_event_between_two_looks_is_noticed(services: Services) -> None:
    """One look that finds nothing open is not enough: the second finds what has moved behind the first."""
    event, late = evaluated(correlation_id="stay-7"), evaluated(correlation_id="stay-7")
    async with AsyncExitStack() as stack:
        for program in (services.subscriber(), *services.workers()):
            await stack.enter_async_context(running(program))
        await services.streams.add(event)
        await services.settled("stay-7")
    assert "is not read" in await services.not_settled("stay-7", outboxes=[LateEvents(services, late)])
