"""Reports what a child does: the events that it publishes, and what becomes of its jobs."""

import asyncio
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime

from domainstream.health import Health
from domainstream.producer import EventPublisher, OutgoingMessage
from domainstream.receipt import Outcome, Receipt
from domainstream.settings import Confirm
from domainstream.telemetry import FIELD_PREFIX, Signal
from domainstream.tools.demo.protocol import Handled, Published, Report, Subscription, write_report
from domainstream.tools.demo.recoding import FailedOnPurposeError, OrderWatch, is_recoded
from domainstream.worker import EventConsumer, Next, PreparedCall, RetryLater
from domainstream.worker.failures import BEFORE_HANDLER

_FLUSH_EVERY = 0.05


class Reporter:
    """Collects the news of a child, and writes them as reports, one per line."""

    def __init__(self, file_descriptor: int) -> None:
        self._file_descriptor = file_descriptor
        self.pending = Report()
        """The report that is not written yet; add to it."""

    async def keep_flushing(self) -> None:
        """Write what is pending every 50 ms, until cancelled."""
        while True:
            self.flush()
            await asyncio.sleep(_FLUSH_EVERY)

    def flush(self) -> None:
        """Write the pending report, if it is not empty. Raises `BrokenPipeError` when the parent has ended."""
        if self.pending == Report():
            return
        line, self.pending = write_report(self.pending) + b"\n", Report()
        while line:
            line = line[os.write(self._file_descriptor, line) :]


class ReportingPublisher:
    """An `EventPublisher` that reports each message."""

    def __init__(self, publisher: EventPublisher, reporter: Reporter) -> None:
        self._publisher = publisher
        self._reporter = reporter

    async def publish(self, messages: Sequence[OutgoingMessage], *, confirm: Confirm | None = None) -> list[Receipt]:
        """Publish `messages` and report each."""
        receipts = await self._publisher.publish(messages, confirm=confirm)
        pending = self._reporter.pending
        for message, receipt in zip(messages, receipts, strict=True):
            event = receipt.event_id
            if receipt.outcome is Outcome.PUBLISHED:
                pending.published.append(Published(message.channel, event))
            else:
                pending.failures.append(f"event {event} for {message.channel} is {receipt.outcome}: {receipt.error}")
        return receipts

    async def health(self) -> Health:
        """Return the health of the decorated publisher."""
        return await self._publisher.health()

    async def close(self) -> None:
        """Close the decorated publisher."""
        await self._publisher.close()


def report_jobs(consumer: EventConsumer, reporter: Reporter) -> None:
    """Report each job of `consumer` once its handler has returned or failed, or when no handler can get it."""
    watch = OrderWatch()

    async def report(call: PreparedCall, call_next: Next) -> None:
        event, context = call.event, call.context
        try:
            await call_next(call)
        except RetryLater:
            raise
        except Exception as error:
            if isinstance(error, FailedOnPurposeError) or isinstance(error.__cause__, FailedOnPurposeError):
                reporter.pending.failed_on_purpose += 1
                raise
            reporter.pending.failures.append(
                f"{consumer.queue}:{context.job_name}, {context.job_id}: {type(error).__name__}: {error}"
            )
            raise
        milliseconds = round((datetime.now(UTC) - event.occurred_at).total_seconds() * 1000, 3)
        subscription = Subscription(str(event.event_type), consumer.queue, context.job_name)
        undisturbed = None if is_recoded(event.aggregate_id) else milliseconds
        reporter.pending.handled.append(Handled(subscription, event.id, undisturbed))
        reporter.pending.overtaken += watch.is_overtaken(event, context)

    consumer.add_middleware(report)
    logging.getLogger(Signal.WORKER_JOB_WAITS.logger).addHandler(_UnhandledJobs(reporter))


class _UnhandledJobs(logging.Handler):
    """Reports jobs that no handler, and so no middleware, gets."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        """Report the job of a record that says so."""
        signal, where = record.getMessage().partition(" ")[0], getattr(record, f"{FIELD_PREFIX}where", BEFORE_HANDLER)
        if signal in (Signal.WORKER_JOB_WAITS.value, Signal.WORKER_JOB_FAILED.value) and where == BEFORE_HANDLER:
            queue, name, job, reason = (
                getattr(record, f"{FIELD_PREFIX}{field}") for field in ("queue", "name", "job", "reason")
            )
            self._reporter.pending.failures.append(f"{queue}:{name}, {job}: {reason}")
