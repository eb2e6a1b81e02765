"""Screenflow's handlers for events of coding."""

import logging

from coding.domain_layer.medical_stay.medical_stay_events import (
    MedicalStayCreated,
    MedicalStayOptimizationEvaluated,
    MedicalStayRecoded,
)
from contracts.bull_mq_queues import BullMqQueues
from domainstream import EventProducer, follow_up
from domainstream.worker import EventConsumer, EventContext
from screenflow.domain_layer.run.run import StayToScreen, screen
from screenflow.domain_layer.screenflow_domain_event import ScreenflowDomainEvent
from screenflow.infrastructure_layer.persistence.in_memory_runs import InMemoryRuns

log = logging.getLogger(__name__)


def screenflow_consumer(producer: EventProducer[ScreenflowDomainEvent], runs: InMemoryRuns) -> EventConsumer:
    """Return screenflow's handlers. They are idempotent: running twice for one event has the same effect as once."""
    consumer = EventConsumer(BullMqQueues.SCREENFLOW)

    @consumer.on(MedicalStayCreated, MedicalStayRecoded)
    async def screen_stay(event: MedicalStayCreated | MedicalStayRecoded, context: EventContext) -> None:
        stay = event.payload
        log.info("screening %s [%s]", stay.stay_id, context.correlation_id)
        outcome = screen(
            StayToScreen(
                stay_id=stay.stay_id,
                codes=(stay.principal_diagnosis, *stay.coded_diagnoses),
                length_of_stay_days=stay.length_of_stay_days,
                age_years=stay.age_years,
            )
        )
        await producer.publish(follow_up(event, outcome))

    @consumer.on(MedicalStayOptimizationEvaluated)
    async def record_optimization(event: MedicalStayOptimizationEvaluated, context: EventContext) -> None:
        log.info("recording the group of %s [%s]", event.payload.stay_id, context.correlation_id)
        runs.diagnosis_groups[event.payload.stay_id] = event.payload.diagnosis_group

    return consumer
