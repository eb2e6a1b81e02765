"""Sorts deliveries into jobs and dead letters. Before: `subscriptions`; next: `stream_subscriber`. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from domainstream.config import MessageLimits
from domainstream.errors import EventDecodingError, InvalidEnvelopeError
from domainstream.event import EventMessage, read_message
from domainstream.queue import Job, job_data, job_id
from domainstream.stream import DeadLetter, Delivery
from domainstream.subscriber.subscriptions import QueueHandler, Subscriptions

DEFAULT_LIMITS: Final = MessageLimits()

_NO_DATA = "the entry has no field data, or was trimmed from the stream before it was handled"


@dataclass(slots=True)
class Batch:
    """What becomes of the deliveries of one read.

    Attributes:
        jobs: One per event and handler, in the order of the deliveries.

        letters: The deliveries that can never become jobs.

        settled: The deliveries to acknowledge once the jobs are in their queues; not those of `letters`.
    """

    jobs: list[Job] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    settled: list[Delivery] = field(default_factory=list)


class Sorter:
    """Knows which delivery becomes which jobs.

    Attributes:
        subscriptions: The handlers of every channel.

        limits: What a message may be; one beyond becomes a dead letter.
    """

    def __init__(self, subscriptions: Subscriptions, limits: MessageLimits = DEFAULT_LIMITS) -> None:
        self.subscriptions = subscriptions
        self.limits = limits

    def sort(self, deliveries: Sequence[Delivery]) -> Batch:
        """Return what becomes of `deliveries`. Nothing of a channel without handlers is even decoded."""
        batch = Batch()
        for delivery in deliveries:
            try:
                batch.jobs += self._jobs(delivery)
            except EventDecodingError as error:
                batch.letters.append(DeadLetter(delivery, type(error).__name__, str(error)))
            else:
                batch.settled.append(delivery)
        return batch

    def _jobs(self, delivery: Delivery) -> Iterable[Job]:
        handlers = self.subscriptions.handlers_of(delivery.channel)
        if not handlers:
            return []
        if delivery.data is None:
            raise InvalidEnvelopeError(_NO_DATA)
        message = read_message(delivery.data, self.limits)
        data = job_data(delivery, message)
        return [Job(handler.queue, handler.job, _id(message, handler, handlers), data) for handler in handlers]


def _id(message: EventMessage, handler: QueueHandler, handlers: Sequence[QueueHandler]) -> str:
    """Name the job in the id only where one queue gets several jobs of an event."""
    in_queue = sum(other.queue == handler.queue for other in handlers)
    return job_id(message.id, job=handler.job if in_queue > 1 else "")
