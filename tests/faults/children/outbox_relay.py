"""A relay in its own process, which dies or falls asleep at a step of its turn if it is ordered to."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final

from faults.children.process import die, fall_asleep
from faults.ledger import STOPPED, Ledger
from sqlalchemy import MetaData

from domainstream.outbox import OutboxRelay, RelaySettings, outbox_table, relay

STAND_BY: Final = 0.01
"""Seconds between two attempts to take over; a second by default."""


class Step(Enum):
    """What a relay has just done when it dies."""

    TAKING = auto()
    """It has taken the lease, in a transaction that is not committed."""

    TAKEN = auto()
    """It has the lease, and repeats nothing yet."""

    DELETING = auto()
    """It has deleted the rows of the last batch, in a transaction that is not committed."""

    NOTING = auto()
    """It has noted the next batch, in a transaction that is not committed."""

    NOTED = auto()
    """The note is committed, and nothing of the batch is sent."""

    SENDING = auto()
    """The server has added what is in one channel, and nothing of the others."""

    SENT = auto()
    """The server has added the batch, and nothing in the database says so."""


@dataclass(frozen=True, kw_only=True)
class RelayOrder:
    """The options of a relay process."""

    redis_url: str
    """The server, or a proxy in front of it."""

    database_url: str
    """The database."""

    name: str
    """The outbox's table."""

    ledger: Ledger
    """Where it records that it ended gracefully."""

    owner: str
    """What it is called in its lease."""

    lease: float = 0.1
    """Seconds until another relay may take over."""

    full_scan_every: float = 30.0
    """Seconds between two scans of the whole table."""

    batch: int = 50
    """Rows of a batch at most."""

    at: tuple[Step, int] | None = None
    """At which step something happens to it, and at which visit."""

    sleeps: bool = False
    """Whether it then falls asleep, until SIGCONT, instead of dying."""


def run_relay(order: RelayOrder) -> None:
    """Publish until killed, or until SIGTERM."""
    asyncio.run(_run(order))


async def _run(order: RelayOrder) -> None:
    settings = RelaySettings(
        batch_messages=order.batch,
        lease=timedelta(seconds=order.lease),
        full_scan_every=timedelta(seconds=order.full_scan_every),
    )
    table = outbox_table(MetaData(), name=order.name)
    own = OutboxRelay.from_url(order.redis_url, database_url=order.database_url, table=table, settings=settings)
    own._owner = order.owner
    setattr(relay, "STAND_BY", STAND_BY)  # noqa: B010 - a constant
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.stop)
    if order.at is not None:
        arm(own, *order.at, fall_asleep if order.sleeps else die)
    async with own:
        await own.run()
    order.ledger.note(STOPPED, f"{order.owner} {own.stats.published}")


def arm(own: OutboxRelay, step: Step, nth: int, happen: Callable[[], None]) -> None:
    """Let `happen` be called when this relay has done a step for the `nth` time."""
    left = nth

    def visit() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            happen()

    store: Any = own._store
    publisher: Any = own._publisher._publisher
    statements = store._statements
    match step:
        case Step.TAKING:
            _after_statement(store, visit, lambda made, _, rows: made is statements.take and rows)
        case Step.TAKEN:
            store.take_over = _then(store.take_over, visit)
        case Step.DELETING:
            _after_statement(store, visit, lambda made, values, _: made is statements.renew and len(values["ids"]) > 2)
        case Step.NOTING:
            _after_statement(store, visit, lambda made, *_: made is statements.note)
        case Step.NOTED:
            store.next_batch = _then(store.next_batch, visit, when=lambda claim: claim.batch is not None)
        case Step.SENDING:
            publisher.send = _one_channel_first(publisher.send, visit)
        case Step.SENT:
            publisher.send = _then(publisher.send, visit, when=lambda _: True)


def _after_statement(store: Any, visit: Callable[[], None], is_meant: Callable[[Any, Any, Any], Any]) -> None:
    """Visit after a statement of PostgreSQL, before its transaction is committed."""
    fetch = store._connection.fetch

    async def fetch_and_visit(statement: Any, **parameters: Any) -> Any:
        rows = await fetch(statement, **parameters)
        if is_meant(statement, parameters, rows):
            visit()
        return rows

    store._connection.fetch = fetch_and_visit


def _then(
    call: Callable[..., Awaitable[Any]], visit: Callable[[], None], when: Callable[[Any], bool] = bool
) -> Callable[..., Awaitable[Any]]:
    async def and_then(*arguments: Any) -> Any:
        result = await call(*arguments)
        if when(result):
            visit()
        return result

    return and_then


def _one_channel_first(send: Callable[..., Awaitable[Any]], visit: Callable[[], None]) -> Callable[..., Awaitable[Any]]:
    async def send_one_first(messages: Any, identity: Any) -> Any:
        first = [message for message in messages if message.channel == messages[0].channel]
        if len(first) < len(messages):
            await send(first, identity)
            visit()
        return await send(messages, identity)

    return send_one_first
