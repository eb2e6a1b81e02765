"""The event that every path publishes: some 300 bytes of JSON. Every path starts from a typed object."""

from datetime import datetime
from enum import StrEnum
from typing import assert_never, final

from pydantic import BaseModel

from domainstream import BaseEvent, EventPayload, EventPublisherChannel

EVENT_TYPE = "domain_coding_optimization_evaluated"


class Channel(EventPublisherChannel):
    """The one channel of the benchmark."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"


class OptimizationEventType(StrEnum):
    """Its one event type."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"


class OptimizationEvaluatedPayload(EventPayload):
    """A payload with text, numbers and whole numbers."""

    stay_id: str
    score: float
    cents: int


@final
class OptimizationEvaluated(BaseEvent[OptimizationEvaluatedPayload]):
    """The event of the benchmark."""

    event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED


def make_event(number: int) -> OptimizationEvaluated:
    """Build an event."""
    payload = OptimizationEvaluatedPayload(stay_id=f"stay-{number:06}", score=0.8731, cents=184_350)
    return OptimizationEvaluated(aggregate_id=f"opt-{number:06}", payload=payload)


def channel_for(event: OptimizationEvaluated) -> Channel | None:
    """Map the one event."""
    match event:
        case OptimizationEvaluated():
            return Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED
        case _:
            assert_never(event)


class PeerPayload(BaseModel):
    """The same payload for FastStream, whose users write pydantic models."""

    stay_id: str
    score: float
    cents: int


class PeerEvent(BaseModel):
    """The same event for FastStream, with the attributes of our envelope."""

    specversion: str = "1.0"
    id: str
    source: str = "/services/coding"
    type: str = EVENT_TYPE
    time: datetime
    subject: str
    datacontenttype: str = "application/json"
    dataschema: str = f"urn:domainstream:events/{EVENT_TYPE}/1"
    data: PeerPayload


def peer_event(event: OptimizationEvaluated) -> PeerEvent:
    """Build FastStream's twin of an event."""
    payload = event.payload
    data = PeerPayload(stay_id=payload.stay_id, score=payload.score, cents=payload.cents)
    return PeerEvent(id=event.id, time=event.occurred_at, subject=event.aggregate_id, data=data)
