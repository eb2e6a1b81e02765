"""The events of an optimization."""

from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class OptimizationEventType(StrEnum):
    """The event types of this aggregate."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"


class OptimizationEvaluatedPayload(EventPayload):
    """The cost weight of a stay that is coded completely."""

    stay_id: str
    """The stay's number."""

    score: float
    """The share of the cost weight that would have been missed, from 0 to 1."""

    diagnosis_group: str
    """The diagnosis group that determines the price, such as "F62B"."""

    cost_weight: float
    """The stay's cost weight in that group."""

    length_of_stay_days: int
    """Nights in hospital."""


@final
class OptimizationEvaluated(BaseEvent[OptimizationEvaluatedPayload]):
    """An optimization was evaluated."""

    event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED
