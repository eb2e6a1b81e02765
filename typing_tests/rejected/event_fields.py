"""Assigned, misspelt and mistyped fields of events are rejected by type checkers."""

from enum import Enum

from domainstream import BaseEvent, EventPayload


class Payload(EventPayload):
    score: float


class Evaluated(BaseEvent[Payload]):
    event_type = "domain_coding_optimization_evaluated"


class Rejected(BaseEvent[Payload]):
    event_type = "domain_coding_optimization_rejected"


class Kind(Enum):
    ARCHIVED = "domain_coding_optimization_archived"


class Archived(BaseEvent[Payload]):
    # expect-mypy: Incompatible types in assignment (expression has type "Kind"
    # expect-pyright: Type "Literal[Kind.ARCHIVED]" is not assignable to declared type "str"
    event_type = Kind.ARCHIVED


event = Evaluated(aggregate_id="opt-1", payload=Payload(score=0.5))

# expect-mypy: Property "aggregate_id" defined in "Evaluated" is read-only
# expect-pyright: Attribute "aggregate_id" is read-only
event.aggregate_id = "opt-2"

# expect-mypy: Property "score" defined in "Payload" is read-only
# expect-pyright: Attribute "score" is read-only
event.payload.score = 1.0

# expect-mypy: "Payload" has no attribute "scores"
# expect-pyright: Cannot access attribute "scores" for class "Payload"
print(event.payload.scores)

# expect-mypy: expression has type "float", variable has type "str"
# expect-pyright: Type "float" is not assignable to declared type "str"
score: str = event.payload.score

# expect-mypy: expression has type "Rejected", variable has type "Evaluated"
# expect-pyright: "Rejected" is not assignable to "Evaluated"
follow_up: Evaluated = event.caused(Rejected(aggregate_id="opt-1", payload=event.payload))
