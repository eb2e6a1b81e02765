"""Events and payloads created with wrong arguments are rejected by type checkers."""

from domainstream import BaseEvent, EventPayload


class Payload(EventPayload):
    score: float


class Evaluated(BaseEvent[Payload]):
    event_type = "domain_coding_optimization_evaluated"


payload = Payload(score=0.5)

# expect-mypy: Too many positional arguments for "Evaluated"
# expect-pyright: Expected 0 positional arguments
Evaluated("opt-1", payload)

# expect-mypy: Too many positional arguments for "Payload"
# expect-pyright: Expected 0 positional arguments
Payload(0.5)

# expect-mypy: Missing named argument "payload" for "Evaluated"
# expect-pyright: Argument missing for parameter "payload"
Evaluated(aggregate_id="opt-1")

# expect-mypy: Missing named argument "aggregate_id" for "Evaluated"
# expect-pyright: Argument missing for parameter "aggregate_id"
Evaluated(payload=payload)

# expect-mypy: Missing named argument "score" for "Payload"
# expect-pyright: Argument missing for parameter "score"
Evaluated(aggregate_id="opt-1", payload=Payload())

# expect-mypy: Argument "payload" to "Evaluated" has incompatible type "str"; expected "Payload"
# expect-pyright: cannot be assigned to parameter "payload" of type "Payload"
Evaluated(aggregate_id="opt-1", payload="payload")

# expect-mypy: Argument "score" to "Payload" has incompatible type "str"; expected "float"
# expect-pyright: cannot be assigned to parameter "score" of type "float"
Evaluated(aggregate_id="opt-1", payload=Payload(score="high"))

# expect-mypy: Argument "aggregate_id" to "Evaluated" has incompatible type "int"; expected "str"
# expect-pyright: cannot be assigned to parameter "aggregate_id" of type "str"
Evaluated(aggregate_id=7, payload=payload)

# expect-mypy: Unexpected keyword argument "agregate_id" for "Evaluated"; did you mean "aggregate_id"?
# expect-pyright: No parameter named "agregate_id"
Evaluated(aggregate_id="opt-1", payload=payload, agregate_id="opt-2")

# expect-mypy: Unexpected keyword argument "event_type" for "Evaluated"
# expect-pyright: No parameter named "event_type"
Evaluated(aggregate_id="opt-1", payload=payload, event_type="domain_coding_optimization_rejected")
