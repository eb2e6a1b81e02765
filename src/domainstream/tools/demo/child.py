"""A child process of the demo: `python -m domainstream.tools.demo.child NAME` runs one of `PROGRAMS`.

A child reads its settings, works until its standard input closes, and reports meanwhile. Those that need a database are
in `outbox_child`, so that the others start without it.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from billing.bootstrap import wire as wire_billing
from contracts.bull_mq_queues import BullMqQueues
from contracts.subscriptions import subscriptions
from domainstream import PublisherSettings, RedisStreamPublisherClient
from domainstream.lifecycle import cancel_and_wait
from domainstream.producer import EventPublisher
from domainstream.settings import RetryPolicy
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers
from domainstream.tools.demo.missing_tariffs import FailsUntilRetried
from domainstream.tools.demo.protocol import ChildSettings, Subscription
from domainstream.tools.demo.recoding import FailsAtFirst
from domainstream.tools.demo.reporting import Reporter, ReportingPublisher, report_jobs
from domainstream.tools.signals import RECANCEL_INTERVAL
from domainstream.worker import EventConsumer, EventWorker
from screenflow.bootstrap import wire as wire_screenflow
from valuation.bootstrap import wire as wire_valuation

Program = Callable[[ChildSettings, Reporter, asyncio.Event], Coroutine[Any, Any, None]]
"""Works until cancelled. The event is set when stays may be handed in."""

_GRACE = timedelta(seconds=2)
_FAILOVER_DEADLINE = timedelta(seconds=30)


def run_child(program: Program) -> None:
    """Run `program` until standard input closes, which also happens when the parent dies."""
    reporter = Reporter(os.dup(sys.stdout.fileno()))
    # Anything else that prints must not be mistaken for a report.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        asyncio.run(_live(program, reporter))
    except BrokenPipeError:
        # The parent has ended, so an error would reach no one.
        os._exit(1)


async def _live(program: Program, reporter: Reporter) -> None:
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    settings = msgspec.json.decode(await stdin.readline(), type=ChildSettings)
    go = asyncio.Event()
    works = (program(settings, reporter, go), _listen(stdin, go), reporter.keep_flushing())
    tasks = [asyncio.create_task(each) for each in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await cancel_and_wait(*tasks, again=RECANCEL_INTERVAL)
    reporter.flush()
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _listen(stdin: asyncio.StreamReader, go: asyncio.Event) -> None:
    while await stdin.readline():
        go.set()


async def subscriber(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Forward the events of all streams to the queues."""
    worked = create_multiple_handlers(
        {
            channel: [
                handler if settings.in_order else replace(handler, order_by=None)
                for handler in handlers
                # Without the Node.js service, the jobs of its queue would only wait.
                if settings.announces or handler.queue != BullMqQueues.NOTIFICATIONS
            ]
            for channel, handlers in subscriptions.items()
        }
    )
    async with RedisBullMQStreamSubscriber.from_url(
        settings.url,
        group="domain-events",
        subscriptions=worked,
        prefix=settings.stream_prefix,
        bull_prefix=settings.bull_prefix,
    ) as forwarding:
        reporter.pending.subscriptions += [
            Subscription(channel.value, handler.queue, handler.job)
            for channel, handlers in worked.items()
            for handler in handlers
        ]
        reporter.pending.ready = True
        await forwarding.run()


async def screenflow(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Handle the events of coding."""
    async with _publisher(settings, reporter) as publisher:
        await handle_events(wire_screenflow(publisher).consumer, settings, reporter)


async def valuation(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Handle the events of coding, some of which fail at first."""
    async with _publisher(settings, reporter) as publisher:
        consumer = wire_valuation(publisher).consumer
        consumer.add_middleware(FailsAtFirst())
        if settings.has_dashboard:
            consumer.add_middleware(FailsUntilRetried())
        await handle_events(consumer, settings, reporter)


async def billing(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Handle the events of coding, some of which fail at first."""
    consumer = wire_billing().consumer
    consumer.add_middleware(FailsAtFirst())
    await handle_events(consumer, settings, reporter)


@asynccontextmanager
async def _publisher(settings: ChildSettings, reporter: Reporter) -> AsyncIterator[EventPublisher]:
    retry = RetryPolicy(deadline=_FAILOVER_DEADLINE) if settings.survives_failover else RetryPolicy()
    async with RedisStreamPublisherClient.from_settings(
        PublisherSettings(url=settings.url, prefix=settings.stream_prefix, confirm=settings.confirm, retry=retry)
    ) as client:
        yield ReportingPublisher(client, reporter)


async def handle_events(consumer: EventConsumer, settings: ChildSettings, reporter: Reporter) -> None:
    """Handle the jobs of the consumer's queue until cancelled."""
    report_jobs(consumer, reporter)
    worker = EventWorker.from_url(settings.url, consumer, bull_prefix=settings.bull_prefix, grace=_GRACE)
    reporter.pending.ready = True
    await worker.run()


PROGRAMS: dict[str, Program] = {each.__name__: each for each in (subscriber, screenflow, valuation, billing)}

if __name__ == "__main__":
    run_child(PROGRAMS[sys.argv[1]])
