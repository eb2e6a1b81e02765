"""Reports what becomes of a consumer's jobs: a middleware around its handlers, and a log handler for the rest."""

import logging
from datetime import UTC, datetime

from domainstream.telemetry import FIELD_PREFIX, Signal
from domainstream.tools.demo.children.reporter import Reporter
from domainstream.tools.demo.reports import Handled, Subscription
from domainstream.worker import EventConsumer, Middleware, Next, PreparedCall, RetryLater


def report_jobs(consumer: EventConsumer, reporter: Reporter) -> None:
    """Report each job of `consumer` once its handler has returned or failed, or when no handler can get it."""
    consumer.add_middleware(reporting(consumer.queue, reporter))
    logging.getLogger(Signal.WORKER_JOB_REJECTED.logger).addHandler(RejectedJobs(reporter))


def reporting(queue: str, reporter: Reporter) -> Middleware:
    """Return a middleware that reports how the calls of handlers end."""

    async def report(call: PreparedCall, call_next: Next) -> None:
        event, context = call.event, call.context
        try:
            await call_next(call)
        except RetryLater:
            raise
        except Exception as error:
            reporter.pending.failures.append(
                f"{queue}:{context.job_name}, {context.job_id}: {type(error).__name__}: {error}"
            )
            raise
        milliseconds = (datetime.now(UTC) - event.occurred_at).total_seconds() * 1000
        subscription = Subscription(str(event.event_type), queue, context.job_name)
        reporter.pending.handled.append(Handled(subscription, event.id, round(milliseconds, 3)))

    return report


class RejectedJobs(logging.Handler):
    """Reports jobs that fail before a handler, and so a middleware, gets them."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        """Report the job of a `worker.job_rejected` record."""
        if record.getMessage().startswith(f"{Signal.WORKER_JOB_REJECTED.value} "):
            queue, name, job, error, reason = (
                getattr(record, f"{FIELD_PREFIX}{field}") for field in ("queue", "name", "job", "error", "reason")
            )
            self._reporter.pending.failures.append(f"{queue}:{name}, {job}: {error}: {reason}")
