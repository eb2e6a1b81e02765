"""Workers of both queues in one process."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path

from faults.children.subscriber import QUEUES
from faults.ledger import BEGUN, HANDLED, TIMED, Ledger
from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, insert
from sqlalchemy.engine import Engine
from support.consuming import EvaluatedPayload, OptimizationEvaluated, PricingCalculated

from domainstream.worker import EventConsumer, EventContext, EventWorker
from domainstream.worker.event_worker import DEFAULT_SETTINGS
from domainstream.worker.inbox.sql import SqlInbox, inbox_table
from domainstream.worker.settings import WorkerSettings

QUICK_RECOVERY = WorkerSettings(
    lock=timedelta(seconds=1), stalled_interval=timedelta(milliseconds=500), max_stalled=1_000
)
"""A job whose worker was killed is retried within two seconds, however often that happens."""

POISON = EvaluatedPayload(score=-1.0)
"""A payload on which handlers fail each time."""

HANGING = EvaluatedPayload(score=-2.0)
"""A payload on which handlers hang."""

Event = OptimizationEvaluated | PricingCalculated

METADATA = MetaData()
EFFECTS = Table("effects", METADATA, Column("id", Integer, primary_key=True), Column("what", Text))
INBOX = inbox_table(METADATA)


class Effects(Enum):
    """What handlers do besides recording that they ran."""

    NONE = auto()
    """Nothing."""

    ONCE = auto()
    """A row in a database, behind an inbox."""

    EACH_TIME = auto()
    """The same row without an inbox."""


@dataclass(frozen=True, kw_only=True)
class WorkerOrder:
    """The options of a worker process."""

    url: str
    """The server."""

    ledger: Ledger
    """Where handlers record that they begin and end; its folder also holds the database."""

    effects: Effects = Effects.NONE
    """Their side effects."""

    hold: float = 0.0
    """Seconds that a handler still takes after its effects."""

    concurrency: int = 20
    """Handlers of each queue at a time."""

    time_limit: float | None = None
    """Seconds that a handler may take; None for no limit."""

    timed: bool = False
    """Whether they record the latency of each event."""

    settings: WorkerSettings = DEFAULT_SETTINGS
    """The locks and limits of the workers."""


def database(folder: Path) -> Engine:
    """Open the database of a test."""
    return create_engine(f"sqlite:///{folder}/effects.db", connect_args={"timeout": 60})


def run_worker(order: WorkerOrder) -> None:
    """Run until killed, or until SIGTERM."""
    asyncio.run(_run(order))


async def _run(order: WorkerOrder) -> None:
    workers = [
        EventWorker.from_url(order.url, _consumer(order, queue), concurrency=order.concurrency, settings=order.settings)
        for queue in QUEUES
    ]

    def stop() -> None:
        for worker in workers:
            worker.stop()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    await asyncio.gather(*(worker.run() for worker in workers))


def _consumer(order: WorkerOrder, queue: str) -> EventConsumer:
    limit = None if order.time_limit is None else timedelta(seconds=order.time_limit)
    consumer = EventConsumer(queue, time_limit=limit)
    if order.effects is Effects.NONE:
        consumer.on(OptimizationEvaluated, PricingCalculated)(_noting(order, queue))
    else:
        consumer.on(OptimizationEvaluated, PricingCalculated)(_writing(order, queue))
    return consumer


def _noting(order: WorkerOrder, queue: str) -> Callable[[Event, EventContext], Awaitable[None]]:
    async def handle(event: Event, context: EventContext) -> None:
        line = f"{queue} {context.channel} {event.id}"
        order.ledger.note(BEGUN, line)
        await _misbehave(event)
        if order.hold:
            await asyncio.sleep(order.hold)
        order.ledger.note(HANDLED, line)
        if order.timed:
            order.ledger.note(TIMED, f"{time.time() - event.occurred_at.timestamp():.6f}")

    return handle


async def _misbehave(event: Event) -> None:
    if event.payload == POISON:
        raise ValueError("poison")
    if event.payload == HANGING:
        await asyncio.Event().wait()


def _writing(order: WorkerOrder, queue: str) -> Callable[[Event, EventContext], None]:
    engine, inbox = database(order.ledger.folder), SqlInbox(queue, INBOX)

    def handle(event: Event, context: EventContext) -> None:
        line = f"{queue} {context.channel} {event.id}"
        order.ledger.note(BEGUN, line)
        with engine.begin() as connection:
            if order.effects is Effects.EACH_TIME or inbox.first_time(connection, event):
                connection.execute(insert(EFFECTS).values(what=line))
        time.sleep(order.hold)
        order.ledger.note(HANDLED, line)

    return handle
