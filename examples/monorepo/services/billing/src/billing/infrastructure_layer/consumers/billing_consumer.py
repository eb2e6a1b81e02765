"""Billing's handlers for events of coding."""

import logging

from billing.domain_layer.bill import Bill
from billing.infrastructure_layer.persistence.in_memory_bills import InMemoryBills
from coding.domain_layer.medical_stay.medical_stay_events import (
    MedicalStayCancelled,
    MedicalStayCreated,
    MedicalStayRecoded,
)
from contracts.bull_mq_queues import BullMqQueues
from domainstream.worker import EventConsumer, EventContext

log = logging.getLogger(__name__)


def billing_consumer(bills: InMemoryBills) -> EventConsumer:
    """Return billing's handlers. Each replaces the bill of a stay, so they rely on the order of the stay's events."""
    consumer = EventConsumer(BullMqQueues.BILLING)

    @consumer.on(MedicalStayCreated, MedicalStayRecoded)
    async def bill_stay(event: MedicalStayCreated | MedicalStayRecoded, context: EventContext) -> None:
        stay = event.payload
        log.info("billing %s [%s]", stay.stay_id, context.correlation_id)
        bills.save(Bill(stay_id=stay.stay_id, diagnoses=(stay.principal_diagnosis, *stay.coded_diagnoses)))

    @consumer.on(MedicalStayCancelled)
    async def cancel_bill(event: MedicalStayCancelled, context: EventContext) -> None:
        log.info("cancelling the bill of %s [%s]", event.payload.stay_id, context.correlation_id)
        bills.save(Bill(stay_id=event.payload.stay_id, diagnoses=()))

    return consumer
