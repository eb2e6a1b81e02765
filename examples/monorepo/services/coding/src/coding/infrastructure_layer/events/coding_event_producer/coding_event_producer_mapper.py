"""Maps each event of coding to its channel, or to None if it stays inside the service."""

from typing import assert_never

from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.domain_layer.medical_stay.medical_stay_events import (
    MedicalStayCancelled,
    MedicalStayCreated,
    MedicalStayDrafted,
    MedicalStayOptimizationEvaluated,
    MedicalStayRecoded,
)
from coding.domain_layer.optimization.optimization_events import OptimizationEvaluated
from contracts.event_publisher_channels import Channel


def channel_for(event: CodingDomainEvent) -> Channel | None:
    """Return the channel of `event`, or None if it is not published."""
    match event:
        case OptimizationEvaluated():
            return Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED
        case MedicalStayCreated():
            return Channel.DOMAIN_CODING_MEDICAL_STAY_CREATED
        case MedicalStayRecoded():
            return Channel.DOMAIN_CODING_MEDICAL_STAY_RECODED
        case MedicalStayCancelled():
            return Channel.DOMAIN_CODING_MEDICAL_STAY_CANCELLED
        case MedicalStayOptimizationEvaluated():
            return Channel.DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED
        case MedicalStayDrafted():
            return None  # stays inside the service
        case _:
            assert_never(event)
