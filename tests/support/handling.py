"""Jobs as a worker receives them, and one attempt at them, for the tests of handlers."""

from collections.abc import Callable
from typing import Any

from support.consuming import OptimizationEvaluated, delivery, evaluated

from domainstream.event import BaseEvent, read_message
from domainstream.queue import job_data
from domainstream.worker import EventConsumer, ReceivedJob
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.outcomes import AttemptResult


def received(event: BaseEvent[Any] | None = None, attempt: int = 1, **fields: Any) -> ReceivedJob:
    """Return the job of an event that came through a stream."""
    delivered = delivery(event or evaluated())
    data = job_data(delivered, read_message(delivered.data or b"")).decode()
    return ReceivedJob(**{"id": "event-1", "name": "price-stay", "attempt": attempt, "data": data, **fields})


async def attempt_with(handler: Callable[..., Any], job: ReceivedJob | None = None, **settings: Any) -> AttemptResult:
    """Return how an attempt at a job ends with one handler, of a consumer with these settings."""
    consumer = EventConsumer("valuation", **settings)
    consumer.on(OptimizationEvaluated)(handler)
    return await AttemptRunner(consumer)(job or received())
