"""Calls one handler with an event, as its worker would."""

from typing import Any

from domainstream.event import BaseEvent, EventEncoder, read_message
from domainstream.queue import job_data, job_id
from domainstream.stream import Delivery
from domainstream.testing.event_flow.clock import milliseconds_of
from domainstream.worker import EventConsumer, ReceivedJob


async def handle(
    consumer: EventConsumer, event: BaseEvent[Any], *, job: str = "test", attempt: int = 1, attempts: int = 1
) -> None:
    """Give `event` to the handler that takes it, encoded and decoded on the way, and raise what the handler raises.

    Usage::

        await handle(consumer, OptimizationEvaluated(...))
        with pytest.raises(RetryLater):
            await handle(consumer, event, attempt=3, attempts=3)

    `job` is the job's name, for handlers that take only jobs of one name; `attempt` and `attempts` are those of the
    handler's context. The consumer's error handler is not called; an `EventFlow` calls it.

    Raises `HandlerNotFoundError`, which names the fix, when no handler takes the event, and `EventEncodingError`.
    """
    data = EventEncoder("test").encode(event)
    delivery = Delivery(str(event.event_type), f"{milliseconds_of(event.occurred_at)}-0", data)
    text = job_data(delivery, read_message(data)).decode()
    await consumer.handle(ReceivedJob(job_id(event.id), job, attempt, text, max(attempt, attempts)))
