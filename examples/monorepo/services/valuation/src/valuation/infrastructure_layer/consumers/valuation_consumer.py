"""Valuation's handlers for events of coding."""

import logging

from coding.domain_layer.optimization.optimization_events import OptimizationEvaluated
from contracts.bull_mq_queues import BullMqQueues
from domainstream import EventProducer, follow_up
from domainstream.worker import EventConsumer, EventContext
from valuation.domain_layer.pricing.pricing import calculated, price_cents
from valuation.domain_layer.valuation_domain_event import ValuationDomainEvent

log = logging.getLogger(__name__)


def valuation_consumer(producer: EventProducer[ValuationDomainEvent]) -> EventConsumer:
    """Return valuation's handlers. They are idempotent: running twice for one event has the same effect as once."""
    consumer = EventConsumer(BullMqQueues.VALUATION)

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        stay = event.payload
        log.info("pricing %s [%s]", stay.stay_id, context.correlation_id)
        cents = price_cents(stay.cost_weight, stay.length_of_stay_days)
        await producer.publish(follow_up(event, calculated(stay.stay_id, stay.diagnosis_group, cents)))

    return consumer
