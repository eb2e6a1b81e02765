"""Handlers registered for events that they cannot take are rejected by type checkers."""

from domainstream import BaseEvent, EventPayload
from domainstream.worker import ErrorHandler, EventConsumer, EventContext


class Payload(EventPayload):
    score: float


class Evaluated(BaseEvent[Payload]):
    event_type = "domain_coding_optimization_evaluated"


class Rejected(BaseEvent[Payload]):
    event_type = "domain_coding_optimization_rejected"


consumer = EventConsumer("valuation")


# expect-mypy: expected "Callable[[Evaluated, EventContext]
# expect-pyright: "Evaluated" is not assignable to "Rejected"
@consumer.on(Evaluated, job="price-stay")
async def of_another_event(event: Rejected, context: EventContext) -> None: ...


# expect-mypy: expected "Callable[[Evaluated | Rejected, EventContext]
# expect-pyright: "Rejected" is not assignable to "Evaluated"
@consumer.on(Evaluated, Rejected, job="price-stay")
async def of_one_of_two(event: Evaluated, context: EventContext) -> None: ...


# expect-mypy: Argument 1 has incompatible type "Callable[[Evaluated],
# expect-pyright: Function accepts too few positional parameters
@consumer.on(Evaluated)
async def without_context(event: Evaluated) -> None: ...


# expect-mypy: Value of type variable "ReturnT" of function cannot be "Coroutine[Any, Any, int]"
# expect-pyright: is incompatible with type "ReturnT@on"
@consumer.on(Evaluated)
async def with_a_result(event: Evaluated, context: EventContext) -> int:
    return 7


# expect-mypy: expected "Literal['wait', 'fail', 'skip'] | Wait"
# expect-pyright: cannot be assigned to parameter "unhandled"
EventConsumer("valuation", unhandled="ignore")

# expect-mypy: Dict entry 0 has incompatible type "type[TimeoutError]": "str"
# expect-pyright: cannot be assigned to parameter "rules"
ErrorHandler({TimeoutError: "again"})
