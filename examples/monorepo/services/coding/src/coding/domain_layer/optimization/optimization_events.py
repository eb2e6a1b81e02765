"""What happens to an optimization."""

from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class OptimizationEventType(StrEnum):
    """The types of events of this aggregate."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"


class OptimizationEvaluatedPayload(EventPayload):
    """What a stay weighs once it is coded completely."""

    stay_id: str
    """The stay's number."""

    score: float
    """The share of the weight that would have been missed, from 0 to 1."""

    diagnosis_group: str
    """The group that the stay is paid by, such as "F62B"."""

    cost_weight: float
    """The stay's weight in that group."""

    length_of_stay_days: int
    """Nights in hospital."""


@final
class OptimizationEvaluated(BaseEvent[OptimizationEvaluatedPayload]):
    """An optimization was worked out."""

    event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED
