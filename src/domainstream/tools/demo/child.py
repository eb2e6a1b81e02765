"""A child process of the demo: `python -m domainstream.tools.demo.child NAME` runs one of `PROGRAMS`.

A child reads its settings, works until its standard input closes, and reports meanwhile.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from coding.application_layer.hand_in_stays import hand_in_stays
from coding.bootstrap import Coding
from coding.bootstrap import wire as wire_coding
from coding.infrastructure_layer.events.coding_event_producer.coding_event_producer_mapper import channel_for
from coding.infrastructure_layer.events.coding_outbox import outbox
from coding.infrastructure_layer.persistence.database import open_database
from coding.synthetic_stays import synthetic_stays
from contracts.bull_mq_queues import BullMqQueues
from contracts.subscriptions import subscriptions
from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.lifecycle import cancel_and_wait
from domainstream.outbox import OutboxRelay, SqlOutboxStore
from domainstream.outbox.sql.engine import open_engine
from domainstream.producer import EventPublisher
from domainstream.publisher import RedisBatchPublisher
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers
from domainstream.tools.demo.protocol import ChildSettings, Subscription
from domainstream.tools.demo.reporting import (
    Reporter,
    ReportingBatchPublisher,
    ReportingOutbox,
    ReportingPublisher,
    report_jobs,
)
from domainstream.tools.signals import RECANCEL_INTERVAL
from domainstream.worker import EventConsumer, EventWorker
from screenflow.bootstrap import wire as wire_screenflow
from valuation.bootstrap import wire as wire_valuation

Program = Callable[[ChildSettings, Reporter, asyncio.Event], Coroutine[Any, Any, None]]
"""Works until cancelled. The event is set when stays may be handed in."""

_STAYS_AT_ONCE = 5
_GRACE = timedelta(seconds=2)


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
    # The service of the queue `notifications` runs on Node.js and not in the demo, so its jobs would only wait.
    worked = create_multiple_handlers(
        {
            channel: [handler for handler in handlers if handler.queue != BullMqQueues.NOTIFICATIONS]
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


async def coding(settings: ChildSettings, reporter: Reporter, go: asyncio.Event) -> None:
    """Hand in stays, and handle the events of screenflow and valuation."""
    reporting = ReportingOutbox(channel_for=channel_for, source="coding", table=outbox.table)
    reporting.reporter = reporter
    try:
        async with open_database(settings.database_url) as engine, asyncio.TaskGroup() as tasks:
            service = wire_coding(reporting, engine)
            tasks.create_task(_handle_events(service.consumer, settings, reporter))
            tasks.create_task(_hand_in(service, settings, reporter, go))
    finally:
        # The parent removes the folder, too, unless it was killed.
        shutil.rmtree(Path(settings.database_file).parent, ignore_errors=True)


async def relay(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Publish the events that coding has stored."""
    async with open_database(settings.database_url):
        pass  # makes the tables, if this process is the first
    engine = open_engine(settings.database_url)
    publisher = RedisBatchPublisher.from_url(settings.url, prefix=settings.stream_prefix)
    try:
        reporter.pending.ready = True
        await OutboxRelay(SqlOutboxStore(engine, outbox.table), ReportingBatchPublisher(publisher, reporter)).run()
    finally:
        await publisher.close()
        await engine.dispose()


async def screenflow(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Handle the events of coding."""
    async with _publisher(settings, reporter) as publisher:
        await _handle_events(wire_screenflow(publisher).consumer, settings, reporter)


async def valuation(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Handle the events of coding."""
    async with _publisher(settings, reporter) as publisher:
        await _handle_events(wire_valuation(publisher).consumer, settings, reporter)


@asynccontextmanager
async def _publisher(settings: ChildSettings, reporter: Reporter) -> AsyncIterator[EventPublisher]:
    async with RedisStreamPublisherClient.from_url(settings.url, prefix=settings.stream_prefix) as client:
        yield ReportingPublisher(client, reporter)


async def _handle_events(consumer: EventConsumer, settings: ChildSettings, reporter: Reporter) -> None:
    """Handle the jobs of the consumer's queue until cancelled."""
    report_jobs(consumer, reporter)
    worker = EventWorker.from_url(settings.url, consumer, bull_prefix=settings.bull_prefix, grace=_GRACE)
    reporter.pending.ready = True
    await worker.run()


async def _hand_in(service: Coding, settings: ChildSettings, reporter: Reporter, go: asyncio.Event) -> None:
    """Hand in all stays at a steady rate: each group is due at a fixed time, however long the previous one took."""
    await go.wait()
    now = asyncio.get_running_loop().time
    stays = synthetic_stays(settings.events, settings.seed)
    due = now()
    while group := list(islice(stays, _STAYS_AT_ONCE)):
        receipts = await hand_in_stays(group, outbox=service.outbox, sessions=service.sessions)
        reporter.pending.not_published += sum(receipt.outcome is Outcome.NOT_PUBLISHED for receipt in receipts)
        due += len(group) / settings.stays_per_second
        await asyncio.sleep(max(0.0, due - now()))
    reporter.pending.finished = True


PROGRAMS: dict[str, Program] = {each.__name__: each for each in (subscriber, coding, relay, screenflow, valuation)}

if __name__ == "__main__":
    run_child(PROGRAMS[sys.argv[1]])
