"""A consumer that reports what it handles: a decorator around a service's own."""

from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from domainstream.tools.demo.children.reporter import Reporter
from domainstream.tools.demo.reports import Handled, Subscription
from domainstream.worker import EventConsumer, ReceivedJob, RetryLater
from domainstream.worker.prepared_call import PreparedCall


class _HandledEvent(Struct):
    """As much of a job's data as a report needs."""

    id: str
    type: str
    time: datetime


_read_event = msgspec.json.Decoder(_HandledEvent).decode


class ReportingConsumer(EventConsumer):
    """Hands jobs to another consumer and reports what becomes of them."""

    def __init__(self, consumer: EventConsumer, reporter: Reporter) -> None:
        super().__init__(consumer.queue, errors=consumer.errors, unhandled=consumer.unhandled)
        self._consumer = consumer
        self._reporter = reporter

    def prepare(self, job: ReceivedJob) -> PreparedCall:
        """Let the consumer decode the job, and report when it cannot or once its handler has returned."""
        try:
            handling = self._consumer.prepare(job)
        except Exception as error:
            self._report_failure(job, error)
            raise
        return replace(handling, call=lambda: self._run(handling, job))

    async def _run(self, handling: PreparedCall, job: ReceivedJob) -> None:
        try:
            await handling()
        except RetryLater:
            raise
        except Exception as error:
            self._report_failure(job, error)
            raise
        self._report_success(job)

    def _report_success(self, job: ReceivedJob) -> None:
        event = _read_event(job.data)
        milliseconds = (datetime.now(UTC) - event.time).total_seconds() * 1000
        subscription = Subscription(event.type, self.queue, job.name)
        self._reporter.pending.handled.append(Handled(subscription, event.id, round(milliseconds, 3)))

    def _report_failure(self, job: ReceivedJob, error: Exception) -> None:
        self._reporter.pending.failures.append(f"{self.queue}:{job.name}, {job.id}: {type(error).__name__}: {error}")
