"""Every event of the coding service."""

from typing import TypeAlias

from coding.domain_layer.medical_stay.medical_stay_events import (
    MedicalStayCancelled,
    MedicalStayCreated,
    MedicalStayDrafted,
    MedicalStayOptimizationEvaluated,
    MedicalStayRecoded,
)
from coding.domain_layer.optimization.optimization_events import OptimizationEvaluated

CodingDomainEvent: TypeAlias = (
    OptimizationEvaluated
    | MedicalStayCreated
    | MedicalStayRecoded
    | MedicalStayCancelled
    | MedicalStayOptimizationEvaluated
    | MedicalStayDrafted
)
"""If the mapper misses one of these classes, the type checker reports it there."""
