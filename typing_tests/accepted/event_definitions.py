"""Events as users define and use them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypedDict, assert_type, final

from domainstream import BaseEvent, EventPayload


class OptimizationEventType(StrEnum):
    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"
    DOMAIN_CODING_OPTIMIZATION_REJECTED = "domain_coding_optimization_rejected"
    DOMAIN_CODING_OPTIMIZATION_ARCHIVED = "domain_coding_optimization_archived"


class OptimizationEvaluatedPayload(EventPayload):
    stay_id: str
    score: float
    note: str | None = None


@final
class OptimizationEvaluated(BaseEvent[OptimizationEvaluatedPayload]):
    event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED


@dataclass(frozen=True)
class OptimizationRejectedPayload:
    reason: str


@final
class OptimizationRejected(BaseEvent[OptimizationRejectedPayload]):
    event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_REJECTED
    version = 2


class OptimizationArchivedPayload(TypedDict):
    archive: str


@final
class OptimizationArchived(BaseEvent[OptimizationArchivedPayload]):
    event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_ARCHIVED


evaluated = OptimizationEvaluated(
    aggregate_id="opt-1", payload=OptimizationEvaluatedPayload(stay_id="stay-1", score=0.5)
)
rejected = OptimizationRejected(
    aggregate_id="opt-1",
    payload=OptimizationRejectedPayload("too late"),
    id="event-1",
    occurred_at=datetime.now(UTC),
    correlation_id="transaction-1",
    causation_id="event-0",
    partition_key="stay-1",
    sequence=7,
)
archived = OptimizationArchived(aggregate_id="opt-1", payload={"archive": "cellar"})

assert_type(evaluated.payload, OptimizationEvaluatedPayload)
assert_type(evaluated.payload.score, float)
assert_type(evaluated.payload.note, str | None)
assert_type(rejected.payload.reason, str)
assert_type(archived.payload["archive"], str)
assert_type(evaluated.id, str)
assert_type(evaluated.occurred_at, datetime)
assert_type(evaluated.sequence, int | None)
assert_type(OptimizationRejected.version, int)
assert_type(evaluated.caused(rejected), OptimizationRejected)
assert_type(evaluated.caused(rejected).payload.reason, str)

event_type: str = OptimizationEvaluated.event_type


def aggregate_of(event: BaseEvent[Any]) -> str:
    return event.aggregate_id


def score_of(event: BaseEvent[EventPayload]) -> str:
    """The payload is covariant: an event with a specific payload is an event with any payload."""
    return event.id


aggregate_of(evaluated)
score_of(evaluated)
