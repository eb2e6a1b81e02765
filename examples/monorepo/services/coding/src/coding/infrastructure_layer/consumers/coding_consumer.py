"""Coding's handlers for events of screenflow and valuation."""

import logging

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.domain_layer.medical_stay.medical_stay import priced, reopened
from coding.domain_layer.optimization.optimization import UncodableStayError, evaluated, optimise
from coding.infrastructure_layer.persistence.sql_medical_stays import SqlMedicalStays, UnknownStayError
from contracts.bull_mq_queues import BullMqQueues
from domainstream import follow_up
from domainstream.outbox import Outbox
from domainstream.worker import EventConsumer, EventContext, GiveUp
from screenflow.domain_layer.run.run_events import RunFailed, RunStarted
from valuation.domain_layer.pricing.pricing_events import PricingCalculated

log = logging.getLogger(__name__)


def coding_consumer(outbox: Outbox[CodingDomainEvent], sessions: async_sessionmaker[AsyncSession]) -> EventConsumer:
    """Return coding's handlers. They are idempotent: running twice for one event has the same effect as once.

    Each changes data and stores its events in one transaction.
    """
    consumer = EventConsumer(BullMqQueues.CODING)

    @consumer.on(RunStarted)
    async def optimise_stay(event: RunStarted, context: EventContext) -> None:
        log.info("optimising %s [%s]", event.payload.stay_id, context.correlation_id)
        async with sessions.begin() as session:
            try:
                optimization = optimise(await SqlMedicalStays(session).get(event.payload.stay_id))
            except (UnknownStayError, UncodableStayError) as error:  # retrying would not help
                raise GiveUp(str(error)) from error
            outbox.add_many(session, [follow_up(event, each) for each in evaluated(optimization)])

    @consumer.on(RunFailed)
    async def reopen_stay(event: RunFailed, context: EventContext) -> None:
        log.info("reopening %s: %s [%s]", event.payload.stay_id, event.payload.reason, context.correlation_id)
        async with sessions.begin() as session:
            stays = SqlMedicalStays(session)
            await stays.save([reopened(await stays.get(event.payload.stay_id))])

    @consumer.on(PricingCalculated)
    async def record_price(event: PricingCalculated, context: EventContext) -> None:
        log.info("recording the price of %s [%s]", event.payload.stay_id, context.correlation_id)
        async with sessions.begin() as session:
            stays = SqlMedicalStays(session)
            await stays.save([priced(await stays.get(event.payload.stay_id), event.payload.amount_cents)])

    return consumer
