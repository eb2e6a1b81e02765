"""The reporting publisher and worker that the service processes share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from domainstream import RedisStreamPublisherClient
from domainstream.producer import EventPublisher
from domainstream.tools.demo.children.reporter import Reporter
from domainstream.tools.demo.children.reporting_middleware import report_jobs
from domainstream.tools.demo.children.reporting_publisher import ReportingPublisher
from domainstream.tools.demo.settings import ChildSettings
from domainstream.worker import EventConsumer, EventWorker

_GRACE = timedelta(seconds=2)


@asynccontextmanager
async def open_publisher(settings: ChildSettings, reporter: Reporter) -> AsyncIterator[EventPublisher]:
    """Open a publisher for one service."""
    async with RedisStreamPublisherClient.from_url(settings.url, prefix=settings.stream_prefix) as client:
        yield ReportingPublisher(client, reporter)


async def handle_events(consumer: EventConsumer, settings: ChildSettings, reporter: Reporter) -> None:
    """Handle the jobs of the consumer's queue until cancelled."""
    report_jobs(consumer, reporter)
    worker = EventWorker.from_url(settings.url, consumer, bull_prefix=settings.bull_prefix, grace=_GRACE)
    reporter.pending.ready = True
    await worker.run()
